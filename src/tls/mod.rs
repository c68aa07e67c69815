//! Floor 1: bytes become typed TLS messages. Knows no connection and no clock.
//!
//! [`record`] cuts a byte stream into records and rejoins handshake messages; [`hello`],
//! [`message`] and [`cert`] read what is inside; [`chain`] says everything that is wrong with a
//! chain of certificates; [`signature`] verifies; [`ocsp`] reads revocation answers.

pub mod cert;
pub mod chain;
pub mod codes;
pub mod der;
pub mod hello;
pub mod message;
pub mod names;
pub mod ocsp;
pub mod record;
pub mod signature;
pub mod trust;
