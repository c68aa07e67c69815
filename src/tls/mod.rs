//! Floor 1: bytes become typed TLS messages. Knows no connection and no clock.
//!
//! [`record`] cuts a byte stream into records and rejoins handshake messages; [`hello`],
//! [`message`] and [`cert`] read what is inside; [`fingerprint`] and [`stack`] name a hello's software;
//! [`dtls`] reads the records of datagrams; [`quic`] takes packets apart and opens those that everyone can open;
//! [`sealed`] says what the sizes of encrypted records tell; [`keys`] opens sealed records. [`chain`] says everything that is
//! wrong with a chain of certificates, by [`names`], [`constraints`] and the roots of [`trust`]; [`signature`] verifies;
//! [`ocsp`] and [`crl`] read what tells of revocation.

pub mod cert;
pub mod chain;
pub mod codes;
pub mod constraints;
pub mod crl;
mod cursor;
pub mod der;
pub mod dtls;
pub mod fingerprint;
mod generations;
pub mod given;
pub mod hello;
pub mod idn;
pub mod keys;
pub mod message;
pub mod names;
pub mod ocsp;
pub mod parser;
pub mod quic;
pub mod record;
pub mod sealed;
pub mod signature;
pub mod stack;
pub mod trust;

#[cfg(test)]
mod samples;
