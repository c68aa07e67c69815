//! DNS messages (RFC 1035), as far as a TLS client's next step depends on them.
//!
//! What can be read before a broken or missing record stands: [`DnsMessage::complete`] says
//! whether that was all.

use crate::base::Addr;

/// Records read of one message at most. A UDP answer rarely has more than twenty.
const RECORDS: usize = 256;
/// Addresses kept of one answer.
const ADDRESSES: usize = 64;
/// Aliases followed, as most resolvers do.
const ALIASES: usize = 16;
/// Compression pointers followed in one name.
const POINTERS: usize = 32;

/// Record types used here (RFC 1035, 3596, 9460, 6891).
#[allow(missing_docs, reason = "names of the registry")]
pub mod qtype {
    pub const A: u16 = 1;
    pub const CNAME: u16 = 5;
    pub const AAAA: u16 = 28;
    pub const OPT: u16 = 41;
    pub const SVCB: u16 = 64;
    pub const HTTPS: u16 = 65;

    /// The registered name.
    pub const fn name(kind: u16) -> Option<&'static str> {
        match kind {
            A => Some("A"),
            CNAME => Some("CNAME"),
            AAAA => Some("AAAA"),
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

/// A question or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsMessage {
    /// The transaction's number.
    pub id: u16,
    /// An answer, else a question.
    pub is_response: bool,
    /// The sender cut it (TC): the client asks again over TCP.
    pub truncated: bool,
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
    /// Addresses of the name or of what it is an alias of, 64 at most.
    pub addresses: Vec<Addr>,
    /// The least time to live, in seconds, of the records that led here; 0 where there are none.
    pub ttl: u32,
    /// The names it is an alias of, in order.
    pub cnames: Vec<String>,
    /// A SVCB or HTTPS record is there (RFC 9460).
    pub service: bool,
    /// That record carries a key for Encrypted ClientHello (RFC 9849).
    pub ech: bool,
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
        rcode: Rcode(u16::from(flags1 & 0x0f)),
        extended_error: None,
        name: String::new(),
        qtype: 0,
        answer: DnsAnswer::default(),
        complete: false,
    };
    let mut reader = Reader { message: payload, at: 12 };
    if questions == 1 {
        message.name = reader.name()?;
        message.qtype = reader.u16()?;
        reader.u16()?; // class
    } else if !is_response {
        return None;
    }

    let answers = usize::from(u16::from_be_bytes([an0, an1]));
    let rest = usize::from(u16::from_be_bytes([ns0, ns1])) + usize::from(u16::from_be_bytes([ar0, ar1]));
    let mut records = Vec::new();
    let mut count = 0;
    while count < (answers + rest).min(RECORDS) {
        let Some(record) = reader.record() else { break };
        match record.kind {
            qtype::OPT => {
                // The TTL field's first octet is the code's upper part (RFC 6891 section 6.1.3).
                message.rcode.0 |= u16::try_from(record.ttl >> 24).unwrap_or(0) << 4;
                message.extended_error = message.extended_error.or(extended_error(record.data));
            }
            _ if count < answers && is_response => records.push(record),
            _ => {}
        }
        count += 1;
    }
    message.complete = count == answers + rest;
    if is_response {
        message.answer = flatten(&message, &records);
    }
    Some(message)
}

/// The first message in a TCP stream (RFC 1035 section 4.2.2: two octets of length go before), and
/// how many bytes it takes. `None`: it is not complete yet.
pub fn framed(stream: &[u8]) -> Option<(&[u8], usize)> {
    let (len, rest) = stream.split_first_chunk::<2>()?;
    let len = usize::from(u16::from_be_bytes(*len));
    Some((rest.get(..len)?, len + 2))
}

struct Record<'a> {
    owner: String,
    kind: u16,
    ttl: u32,
    data: &'a [u8],
    /// The name in a CNAME.
    target: Option<String>,
}

/// Follows the aliases from the name asked for, and gathers what belongs to them.
fn flatten(message: &DnsMessage, records: &[Record<'_>]) -> DnsAnswer {
    let mut answer = DnsAnswer {
        name: message.name.clone(),
        qtype: message.qtype,
        rcode: message.rcode.0,
        extended_error: message.extended_error,
        ..DnsAnswer::default()
    };
    let mut ttl = None;
    let mut least = |seconds: u32| ttl = Some(ttl.map_or(seconds, |least: u32| least.min(seconds)));
    let mut current = message.name.clone();
    while answer.cnames.len() < ALIASES {
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
    let ours =
        |owner: &String| message.name.is_empty() || *owner == message.name || answer.cnames.contains(owner);
    let mut addresses = Vec::new();
    for record in records.iter().filter(|record| ours(&record.owner)) {
        let address = match record.kind {
            qtype::A => <[u8; 4]>::try_from(record.data).ok().map(Addr::v4),
            qtype::AAAA => <[u8; 16]>::try_from(record.data).ok().map(Addr::v6),
            qtype::SVCB | qtype::HTTPS => {
                answer.service = true;
                answer.ech |= has_ech(record.data).unwrap_or(false);
                least(record.ttl);
                None
            }
            _ => None,
        };
        if let Some(address) = address {
            least(record.ttl);
            if addresses.len() < ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    answer.addresses = addresses;
    answer.ttl = ttl.unwrap_or(0);
    answer
}

/// Whether SvcParams hold the key `ech`, 5 (RFC 9460 section 2.2). The target is not compressed.
fn has_ech(data: &[u8]) -> Option<bool> {
    let mut reader = Reader { message: data, at: 2 }; // behind SvcPriority
    loop {
        let len = reader.take(1)?.first().copied()?;
        if len == 0 {
            break;
        }
        reader.take(usize::from(len & 0x3f))?;
    }
    while reader.at < data.len() {
        let key = reader.u16()?;
        let len = usize::from(reader.u16()?);
        reader.take(len)?;
        if key == 5 {
            return Some(true);
        }
    }
    Some(false)
}

/// Option 15 of an OPT record (RFC 8914 section 2).
fn extended_error(data: &[u8]) -> Option<u16> {
    let mut reader = Reader { message: data, at: 0 };
    loop {
        let code = reader.u16()?;
        let len = usize::from(reader.u16()?);
        let value = reader.take(len)?;
        if code == 15 {
            return value.first_chunk::<2>().map(|info| u16::from_be_bytes(*info));
        }
    }
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(len)?;
        let bytes = self.message.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let owner = self.name()?;
        let kind = self.u16()?;
        self.u16()?; // class
        let ttl = self.u32()?;
        let len = usize::from(self.u16()?);
        let start = self.at;
        let data = self.take(len)?;
        let target = match kind {
            qtype::CNAME => Some(Reader { message: self.message, at: start }.name()?),
            _ => None,
        };
        Some(Record { owner, kind, ttl, data, target })
    }

    /// A name with its compression undone (RFC 1035 section 4.1.4), lower case, without the final
    /// dot. Octets that are no part of a host name are written `\DDD` (section 5.1).
    fn name(&mut self) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label(name: &str) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::new();
        for label in name.split('.').filter(|label| !label.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes
    }

    fn answer(flags: [u8; 2], name: &str, qtype: u16, records: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, flags[0], flags[1], 0, 1, 0, records.len() as u8, 0, 0, 0, 0];
        bytes.extend(label(name));
        bytes.extend(qtype.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(records.concat());
        bytes
    }

    fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = owner.to_vec();
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(ttl.to_be_bytes());
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
        bytes
    }

    /// The name asked for, as a pointer to the question.
    const ASKED: [u8; 2] = [0xc0, 12];

    #[test]
    fn a_question_has_a_name_and_no_answer() {
        let mut query = answer([1, 0], "WWW.Example.com.", 28, &[]);
        query[7] = 0;
        let message = parse(&query).unwrap();
        assert!(!message.is_response && message.complete);
        assert_eq!((message.id, message.name.as_str(), message.qtype), (0x1234, "www.example.com", 28));
        assert_eq!(message.answer, DnsAnswer::default());
    }

    #[test]
    fn aliases_are_followed_and_the_least_ttl_counts() {
        let bytes = answer(
            [0x81, 0x80],
            "www.example.com",
            1,
            &[
                record(&ASKED, 5, 300, &label("edge.cdn.net")),
                record(&label("edge.cdn.net"), 1, 20, &[192, 0, 2, 1]),
                record(&label("edge.cdn.net"), 1, 60, &[192, 0, 2, 2]),
                record(&label("other.net"), 1, 1, &[192, 0, 2, 3]),
            ],
        );
        let answer = parse(&bytes).unwrap().answer;
        assert_eq!(answer.cnames, ["edge.cdn.net"]);
        assert_eq!(answer.addresses, [Addr::v4([192, 0, 2, 1]), Addr::v4([192, 0, 2, 2])]);
        assert_eq!(answer.ttl, 20);
    }

    #[test]
    fn a_name_that_does_not_exist_says_so() {
        let message = parse(&answer([0x81, 0x83], "nowhere.example", 1, &[])).unwrap();
        assert_eq!(message.rcode, Rcode::NXDOMAIN);
        assert!(message.answer.addresses.is_empty());
    }

    #[test]
    fn an_extended_error_tells_a_bogus_signature() {
        let mut bytes = answer([0x81, 0x82], "bogus.example", 1, &[]);
        bytes[11] = 1;
        bytes.extend(record(&[0], 41, 0, &[0, 15, 0, 2, 0, 6]));
        let message = parse(&bytes).unwrap();
        assert_eq!((message.rcode, message.extended_error), (Rcode::SERVFAIL, Some(6)));
    }

    #[test]
    fn an_https_record_with_ech_is_seen() {
        for (key, want) in [(5, true), (1, false)] {
            let data = [&[0, 1, 0][..], &[0, key, 0, 3, 2, b'h', b'2']].concat();
            let bytes = answer([0x81, 0x80], "example.com", 65, &[record(&ASKED, 65, 60, &data)]);
            let answer = parse(&bytes).unwrap().answer;
            assert!(answer.service);
            assert_eq!(answer.ech, want);
        }
    }

    #[test]
    fn a_cut_answer_keeps_what_was_read() {
        let records = [record(&ASKED, 1, 60, &[192, 0, 2, 1]), record(&ASKED, 1, 60, &[192, 0, 2, 2])];
        let whole = answer([0x83, 0x80], "example.com", 1, &records);
        let message = parse(&whole[..whole.len() - 1]).unwrap();
        assert_eq!(message.answer.addresses, [Addr::v4([192, 0, 2, 1])]);
        assert!(message.truncated && !message.complete);
    }

    #[test]
    fn pointers_that_chase_one_another_end() {
        let mut bytes = answer([0x81, 0x80], "example.com", 1, &[record(&[0xc0, 29], 1, 1, &[0; 4])]);
        assert_eq!(bytes[29..31], [0xc0, 29]);
        assert!(!parse(&bytes).unwrap().complete);
        bytes[12] = 0xc0;
        bytes[13] = 12;
        assert_eq!(parse(&bytes), None);
    }

    #[test]
    fn a_framed_message_waits_for_its_end() {
        assert_eq!(framed(&[0, 2, 7]), None);
        assert_eq!(framed(&[0, 2, 7, 8, 9]), Some((&[7, 8][..], 4)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_records_are_survived(body in proptest::collection::vec(any::<u8>(), 0..200), count in 0u8..9) {
            let mut bytes = vec![0, 1, 0x81, 0x80, 0, 1, 0, count, 0, 0, 0, count];
            bytes.extend([1, b'a', 0, 0, 1, 0, 1]);
            bytes.extend(body);
            prop_assert!(parse(&bytes).is_some());
        }
    }
}
