//! Floor 1: facts that belong to no TLS flow: DNS, OCSP over HTTP.
pub mod dns;
