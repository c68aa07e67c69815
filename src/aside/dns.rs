//! DNS answers.
use crate::base::Addr;

/// A DNS response, flattened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsAnswer {
    /// The name asked, lower case, without the trailing dot.
    pub name: String,
    /// Query type: 1 A, 28 AAAA, 65 HTTPS …
    pub qtype: u16,
    /// RCODE: 0 NOERROR, 2 SERVFAIL, 3 NXDOMAIN.
    pub rcode: u8,
    /// Addresses given.
    pub addresses: Vec<Addr>,
    /// The least TTL of the answers, in seconds.
    pub ttl: u32,
    /// Names passed through by CNAME, in order.
    pub cnames: Vec<String>,
}

/// To come.
pub fn parse(_payload: &[u8]) -> Option<DnsAnswer> {
    None
}
