//! DNS messages (RFC 1035), as far as a TLS client's next step depends on them.
//!
//! Of ports 53 only: multicast DNS (5353, RFC 6762) and LLMNR (5355, RFC 4795) ask the neighbours, not a resolver, and
//! are left out. What can be read before a broken or missing record stands: [`DnsMessage::complete`] says
//! whether that was all.

mod ech;
pub mod hidden;
mod records;
pub mod stream;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use crate::base::Addr;
pub use ech::EchKey;
use records::{Reader, flatten};

/// Records read of one message at most. A UDP answer rarely has more than twenty.
const RECORDS: usize = 256;
/// The Internet's class (RFC 1035 section 3.2.4).
const INTERNET: u16 = 1;

/// Record types used here (RFC 1035, 2782, 3596, 9460, 6891).
#[allow(missing_docs, reason = "names of the registry")]
pub mod qtype {
    pub const A: u16 = 1;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const MX: u16 = 15;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const OPT: u16 = 41;
    pub const SVCB: u16 = 64;
    pub const HTTPS: u16 = 65;

    /// The registered name.
    pub const fn name(kind: u16) -> Option<&'static str> {
        match kind {
            A => Some("A"),
            CNAME => Some("CNAME"),
            SOA => Some("SOA"),
            MX => Some("MX"),
            AAAA => Some("AAAA"),
            SRV => Some("SRV"),
            SVCB => Some("SVCB"),
            HTTPS => Some("HTTPS"),
            _ => None,
        }
    }
}

/// Response codes with a meaning here (RFC 1035 section 4.1.1, RFC 6895).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rcode(pub u16);

impl Rcode {
    /// No error.
    pub const NOERROR: Self = Self(0);
    /// The server could not answer.
    pub const SERVFAIL: Self = Self(2);
    /// The name does not exist.
    pub const NXDOMAIN: Self = Self(3);
    /// The server will not answer.
    pub const REFUSED: Self = Self(5);

    /// The registered name of the common ones.
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            0 => Some("NOERROR"),
            1 => Some("FORMERR"),
            2 => Some("SERVFAIL"),
            3 => Some("NXDOMAIN"),
            4 => Some("NOTIMP"),
            5 => Some("REFUSED"),
            _ => None,
        }
    }
}

/// Extended errors (RFC 8914 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedError(pub u16);

impl ExtendedError {
    /// The resolver says that validation failed: bogus, expired, not yet valid, or keys and records missing
    /// (sections 4.7 to 4.13).
    pub const fn is_bogus(self) -> bool {
        matches!(self.0, 6..=12)
    }

    /// The resolver says that somebody's policy gave this answer instead of the zone's: forged, blocked, censored or
    /// filtered (sections 4.5, 4.16 to 4.18).
    pub const fn is_policy(self) -> bool {
        matches!(self.0, 4 | 15 | 16 | 17)
    }

    /// The registered words of those that are told.
    pub const fn words(self) -> Option<&'static str> {
        Some(match self.0 {
            3 => "stale answer",
            4 => "forged answer",
            5 => "DNSSEC indeterminate",
            6 => "DNSSEC bogus",
            7 => "signature expired",
            8 => "signature not yet valid",
            9 => "DNSKEY missing",
            10 => "RRSIGs missing",
            11 => "no zone key bit set",
            12 => "NSEC missing",
            13 => "cached error",
            14 => "not ready",
            15 => "blocked",
            16 => "censored",
            17 => "filtered",
            18 => "prohibited",
            19 => "stale NXDOMAIN answer",
            20 => "not authoritative",
            22 => "no reachable authority",
            23 => "network error",
            24 => "invalid data",
            _ => return None,
        })
    }
}

/// A question or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsMessage {
    /// The transaction's number.
    pub id: u16,
    /// An answer, else a question.
    pub is_response: bool,
    /// The sender cut it (TC): the client asks again over TCP.
    pub truncated: bool,
    /// The resolver validated it (AD, RFC 4035 section 3.2.3); in a question: tell me whether you did.
    pub authentic: bool,
    /// Do not validate (CD, RFC 4035 section 3.2.2).
    pub checking_disabled: bool,
    /// Send signatures (DO, RFC 3225).
    pub dnssec_ok: bool,
    /// How it went; of a question `NOERROR`.
    pub rcode: Rcode,
    /// Extended DNS error (RFC 8914), e.g. 6 = DNSSEC Bogus.
    pub extended_error: Option<u16>,
    /// The name asked for, lower case, without the final dot; empty where no question came along.
    pub name: String,
    /// The type asked for: 1 A, 28 AAAA, 65 HTTPS.
    pub qtype: u16,
    /// What was answered, flattened; empty in a question.
    pub answer: DnsAnswer,
    /// All records could be read.
    pub complete: bool,
}

/// What an answer gives for the name asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsAnswer {
    /// The name asked for, lower case, without the final dot.
    pub name: String,
    /// The type asked for.
    pub qtype: u16,
    /// How it went.
    pub rcode: u16,
    /// Extended DNS error (RFC 8914), e.g. 6 = DNSSEC Bogus.
    pub extended_error: Option<u16>,
    /// Who gave it. The message does not say; whoever saw its packet fills it in.
    pub resolver: Addr,
    /// Addresses of the name or of what it is an alias of, 64 at most.
    pub addresses: Vec<Addr>,
    /// Addresses at which its services are, as SVCB and HTTPS records hint (RFC 9460 section 7.3) or as came along for
    /// their targets; 64 at most.
    pub hints: Vec<Addr>,
    /// The least time to live, in seconds, of the records that led here; 0 where there are none.
    pub ttl: u32,
    /// The names it is an alias of, in order.
    pub cnames: Vec<String>,
    /// Other names under which its services are: targets of SVCB, HTTPS, SRV and MX records; 16 at most.
    pub targets: Vec<String>,
    /// A SVCB or HTTPS record is there (RFC 9460).
    pub service: bool,
    /// That record carries a key for Encrypted ClientHello (RFC 9849).
    pub ech: bool,
    /// Which keys.
    pub ech_keys: Vec<EchKey>,
    /// The protocols that it offers, printable.
    pub alpn: Vec<String>,
    /// Of a negative answer, the zone that says so and for how many seconds it holds (RFC 2308 section 5).
    pub negative: Option<(String, u32)>,
    /// The resolver was told not to validate (CD).
    pub unchecked: bool,
    /// It was cut (TC).
    pub truncated: bool,
}

impl DnsAnswer {
    /// Whether a client may have taken this address from it.
    pub fn gives(&self, address: Addr) -> bool {
        self.addresses.contains(&address) || self.hints.contains(&address)
    }

    /// Every address that a client may have taken from it.
    pub fn given(&self) -> impl Iterator<Item = Addr> + '_ {
        self.addresses.iter().chain(&self.hints).copied()
    }

    /// It gives an address, of any kind.
    pub fn has_address(&self) -> bool {
        !self.addresses.is_empty() || !self.hints.is_empty()
    }

    /// The extended error, in words where it has some.
    pub fn error_words(&self) -> Option<&'static str> {
        self.extended_error.and_then(|code| ExtendedError(code).words())
    }
}

/// Whether these are the ports of a question to a resolver, or of an answer.
pub const fn may_be(src_port: u16, dst_port: u16) -> bool {
    src_port == 53 || dst_port == 53
}

/// Reads one message, as in a UDP datagram. `None`: the bytes are no DNS query or answer.
pub fn parse(payload: &[u8]) -> Option<DnsMessage> {
    let (header, _) = payload.split_first_chunk::<12>()?;
    let &[id0, id1, flags0, flags1, qd0, qd1, an0, an1, ns0, ns1, ar0, ar1] = header;
    let opcode = flags0 >> 3 & 0xf;
    let questions = u16::from_be_bytes([qd0, qd1]);
    // RFC 9619: a query has exactly one question. Updates and notifies are not for us.
    if opcode != 0 || questions > 1 || flags1 & 0x40 != 0 {
        return None;
    }
    let is_response = flags0 & 0x80 != 0;
    let mut message = DnsMessage {
        id: u16::from_be_bytes([id0, id1]),
        is_response,
        truncated: flags0 & 0x02 != 0,
        authentic: flags1 & 0x20 != 0,
        checking_disabled: flags1 & 0x10 != 0,
        dnssec_ok: false,
        rcode: Rcode(u16::from(flags1 & 0x0f)),
        extended_error: None,
        name: String::new(),
        qtype: 0,
        answer: DnsAnswer::default(),
        complete: false,
    };
    let mut reader = Reader::new(payload, 12);
    if questions == 1 {
        message.name = reader.name()?;
        message.qtype = reader.u16()?;
        if reader.u16()? != INTERNET {
            return None; // CHAOS asks the resolver for its version
        }
    } else if !is_response {
        return None;
    }

    let answers = usize::from(u16::from_be_bytes([an0, an1]));
    let authority = answers + usize::from(u16::from_be_bytes([ns0, ns1]));
    let all = authority + usize::from(u16::from_be_bytes([ar0, ar1]));
    let (mut records, mut further) = (Vec::new(), Vec::new());
    let mut count = 0;
    while count < all.min(RECORDS) {
        let Some(record) = reader.record() else { break };
        match record.kind {
            qtype::OPT => {
                // The TTL field's first octet is the code's upper part (RFC 6891 section 6.1.3), its 17th bit DO.
                message.rcode.0 |= u16::try_from(record.ttl >> 24).unwrap_or(0) << 4;
                message.dnssec_ok = record.ttl & 0x8000 != 0;
                message.extended_error = message.extended_error.or(records::extended_error(record.data));
            }
            _ if !is_response => {}
            _ if count < answers => records.push(record),
            _ => further.push(record),
        }
        count += 1;
    }
    message.complete = count == all;
    if is_response {
        message.answer = flatten(&message, &records, &further);
    }
    Some(message)
}
