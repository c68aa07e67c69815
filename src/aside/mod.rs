//! Floor 1: other traffic that explains a handshake. Facts that belong to no one TLS flow:
//! [`dns`] says which addresses a name had, [`http`] carries OCSP and CRLs in clear.

pub mod date;
pub mod dns;
pub mod http;
