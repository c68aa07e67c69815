//! Names, records, and what the records of an answer say together.

use super::{DnsAnswer, DnsMessage, qtype};
use crate::base::Addr;

/// Addresses kept of one answer.
const ADDRESSES: usize = 64;
/// Aliases followed, as most resolvers do, and other names kept.
const NAMES: usize = 16;
/// Protocols kept.
const PROTOCOLS: usize = 8;
/// Compression pointers followed in one name.
const POINTERS: usize = 32;

/// Keys of service parameters (RFC 9460 section 14.3.2).
mod key {
    pub const ALPN: u16 = 1;
    pub const IPV4_HINT: u16 = 4;
    pub const ECH: u16 = 5;
    pub const IPV6_HINT: u16 = 6;
}

/// One record.
pub(super) struct Record<'a> {
    pub owner: String,
    pub kind: u16,
    pub ttl: u32,
    pub data: &'a [u8],
    /// The name in a CNAME, MX or SRV.
    target: Option<String>,
}

/// Follows the aliases from the name asked for, and gathers what belongs to them. `further`: records of the other
/// sections.
pub(super) fn flatten(message: &DnsMessage, records: &[Record<'_>], further: &[Record<'_>]) -> DnsAnswer {
    let mut answer = DnsAnswer {
        name: message.name.clone(),
        qtype: message.qtype,
        rcode: message.rcode.0,
        extended_error: message.extended_error,
        unchecked: message.checking_disabled,
        truncated: message.truncated,
        ..DnsAnswer::default()
    };
    let mut ttl = None;
    let mut least = |seconds: u32| ttl = Some(ttl.map_or(seconds, |least: u32| least.min(seconds)));
    let mut current = message.name.clone();
    while answer.cnames.len() < NAMES {
        let alias = records.iter().find(|record| record.kind == qtype::CNAME && record.owner == current);
        let Some((alias, target)) = alias.and_then(|alias| Some((alias, alias.target.clone()?))) else {
            break;
        };
        if target == message.name || answer.cnames.contains(&target) {
            break;
        }
        least(alias.ttl);
        answer.cnames.push(target.clone());
        current = target;
    }
    let cnames = std::mem::take(&mut answer.cnames);
    let ours = |owner: &String| message.name.is_empty() || *owner == message.name || cnames.contains(owner);
    for record in records.iter().filter(|record| ours(&record.owner)) {
        match record.kind {
            qtype::A | qtype::AAAA => {
                let Some(address) = record.address() else { continue };
                least(record.ttl);
                keep(&mut answer.addresses, address, ADDRESSES);
            }
            qtype::SVCB | qtype::HTTPS => {
                least(record.ttl);
                answer.service = true;
                // What precedes damage stands.
                let _ = service(record.data, &mut answer);
            }
            qtype::MX | qtype::SRV => {
                least(record.ttl);
                if let Some(target) = &record.target {
                    keep(&mut answer.targets, target.clone(), NAMES);
                }
            }
            _ => {}
        }
    }
    // RFC 9460 section 4.1: addresses of a target may come along.
    for record in records.iter().chain(further).filter(|record| answer.targets.contains(&record.owner)) {
        if let Some(address) = record.address() {
            keep(&mut answer.hints, address, ADDRESSES);
        }
    }
    let soa = further.iter().find(|record| record.kind == qtype::SOA);
    answer.negative = soa.and_then(|soa| {
        let minimum = soa.data.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))?;
        Some((soa.owner.clone(), minimum.min(soa.ttl)))
    });
    answer.cnames = cnames;
    answer.ttl = ttl.unwrap_or(0);
    answer
}

fn keep<T: PartialEq>(list: &mut Vec<T>, value: T, most: usize) {
    if list.len() < most && !list.contains(&value) {
        list.push(value);
    }
}

/// Reads SvcPriority, TargetName and SvcParams (RFC 9460 section 2.2). The target is not compressed.
fn service(data: &[u8], answer: &mut DnsAnswer) -> Option<()> {
    let mut reader = Reader::new(data, 2); // behind SvcPriority
    let target = reader.name()?;
    if !target.is_empty() && target != answer.name {
        keep(&mut answer.targets, target, NAMES);
    }
    while reader.at < data.len() {
        let key = reader.u16()?;
        let len = usize::from(reader.u16()?);
        let value = reader.take(len)?;
        match key {
            key::ALPN => {
                let mut list = Reader::new(value, 0);
                while let Some(len) = list.take(1).and_then(|len| len.first().copied()) {
                    let Some(name) = list.take(usize::from(len)) else { break };
                    keep(&mut answer.alpn, name.escape_ascii().to_string(), PROTOCOLS);
                }
            }
            key::IPV4_HINT => {
                let (four, _) = value.as_chunks::<4>();
                four.iter().for_each(|bytes| keep(&mut answer.hints, Addr::v4(*bytes), ADDRESSES));
            }
            key::IPV6_HINT => {
                let (six, _) = value.as_chunks::<16>();
                six.iter().for_each(|bytes| keep(&mut answer.hints, Addr::v6(*bytes), ADDRESSES));
            }
            key::ECH => {
                answer.ech = true;
                answer.ech_keys.extend(super::ech::keys(value));
            }
            _ => {}
        }
    }
    Some(())
}

/// Option 15 of an OPT record (RFC 8914 section 2).
pub(super) fn extended_error(data: &[u8]) -> Option<u16> {
    let mut reader = Reader::new(data, 0);
    loop {
        let code = reader.u16()?;
        let len = usize::from(reader.u16()?);
        let value = reader.take(len)?;
        if code == 15 {
            return value.first_chunk::<2>().map(|info| u16::from_be_bytes(*info));
        }
    }
}

impl Record<'_> {
    fn address(&self) -> Option<Addr> {
        match self.kind {
            qtype::A => <[u8; 4]>::try_from(self.data).ok().map(Addr::v4),
            qtype::AAAA => <[u8; 16]>::try_from(self.data).ok().map(Addr::v6),
            _ => None,
        }
    }
}

/// A place in a message.
pub(super) struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(message: &'a [u8], at: usize) -> Self {
        Self { message, at }
    }

    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(len)?;
        let bytes = self.message.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub fn record(&mut self) -> Option<Record<'a>> {
        let owner = self.name()?;
        let kind = self.u16()?;
        self.u16()?; // class
        let ttl = self.u32()?;
        let len = usize::from(self.u16()?);
        let start = self.at;
        let data = self.take(len)?;
        // Behind preference; behind priority, weight and port.
        let before = match kind {
            qtype::CNAME => Some(0),
            qtype::MX => Some(2),
            qtype::SRV => Some(6),
            _ => None,
        };
        let target = match before {
            Some(before) => Some(Reader::new(self.message, start + before).name()?),
            None => None,
        };
        Some(Record { owner, kind, ttl, data, target })
    }

    /// A name with its compression undone (RFC 1035 section 4.1.4), lower case, without the final
    /// dot. Octets that are no part of a host name are written `\DDD` (section 5.1).
    pub fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut at = self.at;
        let mut after = None;
        let mut pointers = 0;
        loop {
            let len = *self.message.get(at)?;
            match len >> 6 {
                0 if len == 0 => {
                    at += 1;
                    break;
                }
                0 => {
                    let label = self.message.get(at + 1..at + 1 + usize::from(len))?;
                    at += 1 + usize::from(len);
                    if !name.is_empty() {
                        name.push('.');
                    }
                    for &octet in label {
                        match octet {
                            b'-' | b'_' | b'*' | b'/' | b'0'..=b'9' | b'a'..=b'z' => {
                                name.push(char::from(octet))
                            }
                            b'A'..=b'Z' => name.push(char::from(octet.to_ascii_lowercase())),
                            _ => name.push_str(&format!("\\{octet:03}")),
                        }
                    }
                    if name.len() > 4 * 255 {
                        return None;
                    }
                }
                3 => {
                    let low = *self.message.get(at + 1)?;
                    after = after.or(Some(at + 2));
                    at = usize::from(len & 0x3f) << 8 | usize::from(low);
                    pointers += 1;
                    if pointers > POINTERS {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        self.at = after.unwrap_or(at);
        Some(name)
    }
}
