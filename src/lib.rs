//! # tlswhy: why a TLS handshake failed, from packets alone
#![forbid(unsafe_code)]

pub mod aside;
pub mod base;
pub mod capture;
pub mod cause;
pub mod cli;
pub mod decode;
pub mod event;
pub mod evidence;
pub mod flow;
pub mod pipeline;
pub mod report;
pub mod tls;
