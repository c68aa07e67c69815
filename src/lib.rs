//! # tlswhy: why a TLS handshake failed, from packets alone
#![forbid(unsafe_code)]

pub mod aside;
pub mod base;
pub mod capture;
pub mod decode;
pub mod tls;
