//! The lines of a key log.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Secret;
use crate::base::PacketNo;

/// What is known of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Master secret (`CLIENT_RANDOM`; TLS 1.2 and older).
    pub master: Option<Secret>,
    /// `CLIENT_EARLY_TRAFFIC_SECRET`.
    pub client_early: Option<Secret>,
    /// `CLIENT_HANDSHAKE_TRAFFIC_SECRET`.
    pub client_handshake: Option<Secret>,
    /// `SERVER_HANDSHAKE_TRAFFIC_SECRET`.
    pub server_handshake: Option<Secret>,
    /// `CLIENT_TRAFFIC_SECRET_0`.
    pub client_traffic: Option<Secret>,
    /// `SERVER_TRAFFIC_SECRET_0`.
    pub server_traffic: Option<Secret>,
}

impl Secrets {
    /// The place of a label's secret (RFC 9850 section 2; the names with `QUIC_` are those of old drafts).
    fn place(&mut self, label: &[u8]) -> Option<&mut Option<Secret>> {
        Some(match label.strip_prefix(b"QUIC_").unwrap_or(label) {
            b"CLIENT_RANDOM" => &mut self.master,
            b"CLIENT_EARLY_TRAFFIC_SECRET" => &mut self.client_early,
            b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => &mut self.client_handshake,
            b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => &mut self.server_handshake,
            b"CLIENT_TRAFFIC_SECRET_0" => &mut self.client_traffic,
            b"SERVER_TRAFFIC_SECRET_0" => &mut self.server_traffic,
            _ => return None,
        })
    }
}

/// What lines held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Secrets taken.
    pub taken: u64,
    /// Lines of other labels (exporter secrets, RSA premasters, ECH).
    pub other: u64,
    /// Lines that are none of a key log.
    pub malformed: u64,
}

impl Counts {
    /// Adds another count to this one.
    pub fn add(&mut self, other: Self) {
        self.taken += other.taken;
        self.other += other.other;
        self.malformed += other.malformed;
    }
}

/// The states of what is known of one connection, each with the packet behind which it was known.
type Known = Vec<(PacketNo, Arc<Secrets>)>;

/// Secrets by client random, the oldest out where they are too many.
#[derive(Debug)]
pub struct KeyLog {
    known: HashMap<[u8; 32], Known, foldhash::fast::RandomState>,
    /// In order of their first lines.
    order: VecDeque<[u8; 32]>,
    most: usize,
}

impl Default for KeyLog {
    fn default() -> Self {
        Self::new(Self::MOST)
    }
}

impl KeyLog {
    /// Connections known at once; each takes up to half a kilobyte.
    pub const MOST: usize = 1 << 16;
    /// States of one connection that are kept apart.
    const STATES: usize = 8;

    /// Remembers so many connections.
    pub fn new(most: usize) -> Self {
        Self { known: HashMap::default(), order: VecDeque::new(), most: most.max(1) }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Takes whole lines, known from behind this packet on (0: from the start).
    pub fn add(&mut self, text: &[u8], from: PacketNo) -> Counts {
        let mut counts = Counts::default();
        for line in text.split(|&byte| byte == b'\n') {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            match Line::read(line) {
                None => counts.malformed += 1,
                Some(line) if self.take(&line, from) => counts.taken += 1,
                Some(_) => counts.other += 1,
            }
        }
        counts
    }

    /// All that is known of the connection with this client random.
    pub fn find(&self, client_random: &[u8; 32]) -> Option<Arc<Secrets>> {
        self.find_at(client_random, PacketNo(u64::MAX))
    }

    /// What was known of it before this packet.
    pub fn find_at(&self, client_random: &[u8; 32], at: PacketNo) -> Option<Arc<Secrets>> {
        let states = self.known.get(client_random)?;
        states.iter().rev().find(|(from, _)| *from <= at).map(|(_, secrets)| Arc::clone(secrets))
    }

    /// Forgets what stood in a capture. Whether there was any.
    pub(super) fn forget_embedded(&mut self) -> bool {
        let mut any = false;
        self.known.retain(|_, states| {
            let before = states.len();
            states.retain(|(from, _)| from.0 == 0);
            any |= states.len() < before;
            !states.is_empty()
        });
        let known = &self.known;
        self.order.retain(|random| known.contains_key(random));
        any
    }

    /// Whether the label is one of those kept.
    fn take(&mut self, line: &Line<'_>, from: PacketNo) -> bool {
        if Secrets::default().place(line.label).is_none() {
            return false;
        }
        if !self.known.contains_key(&line.random) {
            if self.order.len() >= self.most
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(line.random);
        }
        let states = self.known.entry(line.random).or_default();
        let (newest, mut secrets) = match states.last() {
            Some((newest, secrets)) => (Some(*newest), Secrets::clone(secrets)),
            None => (None, Secrets::default()),
        };
        if let Some(place) = secrets.place(line.label) {
            *place = Some(line.secret.clone());
        }
        let secrets = Arc::new(secrets);
        let full = states.len() >= Self::STATES;
        match states.last_mut() {
            // A line beside the capture, or one too many, counts as the newest does.
            Some(last) if newest >= Some(from) || full => last.1 = secrets,
            _ => states.push((from, secrets)),
        }
        true
    }
}

/// One line: `<label> <client random> <secret>`, both in hexadecimal digits.
struct Line<'a> {
    label: &'a [u8],
    random: [u8; 32],
    secret: Secret,
}

impl<'a> Line<'a> {
    fn read(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let (label, random, secret) = (fields.next()?, fields.next()?, fields.next()?);
        if fields.next().is_some() || !label.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_') {
            return None;
        }
        let secret = Secret::new(&hex::<{ Secret::MOST }>(secret)?)?;
        // Those of RSA name the first bytes of the encrypted premaster instead.
        let random = if label == b"RSA" { [0; 32] } else { hex::<32>(random)?.as_slice().try_into().ok()? };
        Some(Self { label, random, secret })
    }
}

/// Up to `MOST` bytes in hexadecimal digits.
fn hex<const MOST: usize>(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > MOST {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST));
    for &[high, low] in pairs {
        bytes.push(digit(high)? << 4 | digit(low)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(label: &str, random: u8, secret: u8) -> String {
        format!("{label} {} {}\r\n", format!("{random:02X}").repeat(32), format!("{secret:02x}").repeat(32))
    }

    #[test]
    fn labels_find_their_places_and_others_are_counted() {
        let mut log = KeyLog::default();
        let text = [
            "# a comment\n\n".to_owned(),
            line("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 1, 2),
            line("QUIC_SERVER_HANDSHAKE_TRAFFIC_SECRET", 1, 3),
            line("EXPORTER_SECRET", 1, 4),
            "RSA 0123456789abcdef 0303\n".to_owned(),
            line("CLIENT_RANDOM", 5, 6),
            "CLIENT_RANDOM 12 34\n".to_owned(),
            "CLIENT_RANDOM zz\n".to_owned(),
            "\u{0}\u{1} binary x\n".to_owned(),
        ]
        .concat();
        let counts = log.add(text.as_bytes(), PacketNo(0));
        assert_eq!(counts, Counts { taken: 3, other: 2, malformed: 3 });
        let secrets = log.find(&[1; 32]).unwrap();
        assert_eq!(secrets.client_handshake, Secret::new(&[2; 32]));
        assert_eq!(secrets.server_handshake, Secret::new(&[3; 32]));
        assert_eq!(log.find(&[5; 32]).unwrap().master, Secret::new(&[6; 32]));
        assert!(log.find(&[9; 32]).is_none());
    }

    #[test]
    fn the_oldest_connection_goes_where_they_are_too_many() {
        let mut log = KeyLog::new(2);
        for random in 1..=3 {
            log.add(line("CLIENT_RANDOM", random, 7).as_bytes(), PacketNo(0));
        }
        assert_eq!([1, 2, 3].map(|random| log.find(&[random; 32]).is_some()), [false, true, true]);
    }

    #[test]
    fn each_secret_is_known_from_its_own_block_on() {
        let mut log = KeyLog::default();
        log.add(line("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 1, 2).as_bytes(), PacketNo(4));
        log.add(line("CLIENT_TRAFFIC_SECRET_0", 1, 3).as_bytes(), PacketNo(9));
        let at = |packet| log.find_at(&[1; 32], PacketNo(packet));
        assert!(at(3).is_none());
        assert!(at(8).unwrap().client_traffic.is_none());
        assert!(at(9).is_some_and(|all| all.client_traffic.is_some() && all.client_handshake.is_some()));
    }
}
