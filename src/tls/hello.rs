//! ClientHello, ServerHello and HelloRetryRequest.
//!
//! Read by a walk of our own rather than by a general TLS library: those known to us drop everything behind a
//! malformed extension without a word, refuse version 0x0101 (TLCP), do not know newer extensions and groups, and
//! cannot read a hello that the capture cut. Here whatever is readable is read, and `malformed` says that there was
//! more or that lengths contradict each other.

mod cache;
mod offer;
mod shape;

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use smallvec::SmallVec;

use super::codes::{CipherSuite, ExtensionType, Group, Version};
use super::cursor::Cursor;

pub use cache::HelloCache;
pub use offer::Offer;
use offer::Own;

/// A ClientHello (RFC 5246 section 7.4.1.2, RFC 9846 section 4.1.2): what is its own, and what it shares with the other
/// hellos of the same program, to which it dereferences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// Version of the record that carried it.
    pub record_version: Version,
    /// `random`.
    pub random: [u8; 32],
    /// The host name asked for (RFC 6066 section 3), lower case, as sent otherwise.
    pub sni: Option<Arc<str>>,
    /// Length of the session ticket offered (RFC 5077); `Some(0)` asks for one.
    pub ticket_len: Option<usize>,
    /// `config_id` of its encrypted ClientHello (RFC 9849 section 5): the number of the key used, or what GREASE made up.
    pub ech_key: Option<u8>,
    /// It came in SSL 2.0 framing (RFC 5246 appendix E.2).
    pub sslv2_framed: bool,
    /// Bytes of the message with its header, as far as they were read.
    pub len: u32,
    /// It ended early, contradicted its lengths, or had an extension twice; what was read stands.
    pub malformed: bool,
    /// What it offers.
    pub offer: Arc<Offer>,
}

impl Deref for ClientHello {
    type Target = Offer;

    fn deref(&self) -> &Offer {
        &self.offer
    }
}

#[cfg(test)]
impl std::ops::DerefMut for ClientHello {
    fn deref_mut(&mut self) -> &mut Offer {
        let offer = Arc::make_mut(&mut self.offer);
        offer.whose = <_>::default();
        offer
    }
}

/// What the server chose (RFC 5246 section 7.4.1.3, RFC 9846 section 4.1.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerHello {
    /// The negotiated version: `supported_versions` where present, else `legacy_version`.
    pub version: Version,
    /// `legacy_version`.
    pub legacy_version: Version,
    /// `random`.
    pub random: [u8; 32],
    /// The chosen suite.
    pub cipher: CipherSuite,
    /// Extension types in order.
    pub extensions: SmallVec<[ExtensionType; 8]>,
    /// Chosen ALPN protocol where in clear (TLS 1.2).
    pub alpn: Option<Cow<'static, str>>,
    /// The key share's group (TLS 1.3), or the group a HelloRetryRequest asks for.
    pub group: Option<Group>,
    /// A pre-shared key was accepted (TLS 1.3 resumption).
    pub psk: bool,
    /// This is a HelloRetryRequest, told by its random (RFC 9846 section 4.1.3).
    pub retry: bool,
    /// The server promises a CertificateStatus message (TLS 1.2).
    pub status_request: bool,
    /// The server promises a new session ticket (TLS 1.2).
    pub session_ticket: bool,
    /// The random's tail says that a newer version was possible (RFC 9846 section 4.1.3).
    pub downgrade_sentinel: bool,
    /// Encrypt-then-MAC (RFC 7366): changes the sizes of sealed CBC records.
    pub encrypt_then_mac: bool,
    /// Extended master secret (RFC 7627).
    pub extended_master_secret: bool,
    /// It ended early, contradicted its lengths, or had an extension twice; what was read stands.
    pub malformed: bool,
}

/// The random that makes a ServerHello a HelloRetryRequest: SHA-256 of "HelloRetryRequest" (RFC 9846 section 4.1.3).
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Which extensions have been met, so that a repeat is noticed. Only numbers below 64 are watched: all of those
/// read here but ECH.
#[derive(Default)]
struct Met(u64);

impl Met {
    /// Whether it is the first of its kind.
    fn first(&mut self, kind: u16) -> bool {
        if kind >= 64 {
            return true;
        }
        let bit = 1 << kind;
        let first = self.0 & bit == 0;
        self.0 |= bit;
        first
    }
}

impl ClientHello {
    /// Reads a ClientHello's body (behind the four-byte header). `None`: not even version and random are there. A
    /// body cut by the capture gives what it holds and `malformed`.
    pub fn parse(record_version: Version, body: &[u8]) -> Option<Self> {
        let mut offer = Offer::default();
        let own = offer.read(body)?;
        Some(Self::of(record_version, &own, own.sni.map(name), Arc::new(offer)))
    }

    fn of(record_version: Version, own: &Own<'_>, sni: Option<Arc<str>>, offer: Arc<Offer>) -> Self {
        Self {
            record_version,
            random: own.random,
            sni,
            ticket_len: own.ticket_len,
            ech_key: own.ech_key,
            sslv2_framed: false,
            len: own.len,
            malformed: own.malformed,
            offer,
        }
    }

    /// Reads a ClientHello in SSL 2.0 framing, from its `msg_type` on (RFC 5246 appendix E.2). Suites of SSL 2.0
    /// itself, whose numbers have a first byte over 0, are left out; the challenge becomes the end of the random.
    /// `None`: no such message.
    pub fn parse_sslv2(body: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(body);
        if cursor.u8()? != 1 {
            return None;
        }
        let legacy_version = Version(cursor.u16()?);
        let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let mut hello = Self { record_version: Version::SSL2, sslv2_framed: true, len, ..Self::default() };
        let (ciphers_len, session_len, challenge_len) = (cursor.u16()?, cursor.u16()?, cursor.u16()?);
        let (list, ciphers_whole) = cursor.at_most(ciphers_len.into());
        let ciphers: Vec<_> = list
            .chunks_exact(3)
            .filter_map(|three| match *three {
                [0, high, low] => Some(CipherSuite(u16::from_be_bytes([high, low]))),
                _ => None,
            })
            .collect();
        let fallback_scsv = ciphers.contains(&CipherSuite::FALLBACK_SCSV);
        hello.offer = Arc::new(Offer { legacy_version, ciphers, fallback_scsv, ..Offer::default() });
        let (_, session_whole) = cursor.at_most(session_len.into());
        let (challenge, challenge_whole) = cursor.at_most(challenge_len.into());
        let tail = challenge.len().min(32);
        if let (Some(room), Some(random)) = (hello.random.get_mut(32 - tail..), challenge.get(..tail)) {
            room.copy_from_slice(random);
        }
        hello.malformed = !(ciphers_whole && session_whole && challenge_whole) || list.len() % 3 != 0;
        Some(hello)
    }
}

impl ServerHello {
    /// Reads a ServerHello's or HelloRetryRequest's body (behind the four-byte header). `None`: version, random or
    /// suite are not there. A body cut by the capture gives what it holds and `malformed`.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(body);
        let version = Version(cursor.u16()?);
        let random: [u8; 32] = cursor.array()?;
        let mut hello = Self { version, legacy_version: version, random, ..Self::default() };
        hello.retry = random == RETRY_RANDOM;
        hello.downgrade_sentinel = matches!(random.last_chunk(), Some(b"DOWNGRD\x01" | b"DOWNGRD\x00"));
        // Drafts of TLS 1.3 up to 21 had neither session id nor compression here.
        let early_draft = version.is_early_draft();
        if !early_draft {
            cursor.vec8()?; // session id
        }
        hello.cipher = CipherSuite(cursor.u16()?);
        if !early_draft && cursor.u8().is_none() {
            hello.malformed = true;
        }
        hello.malformed |= hello.fill(&mut cursor).is_none();
        Some(hello)
    }

    /// The extensions; `None` where something is wrong.
    fn fill(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        if cursor.is_empty() {
            return Some(());
        }
        let len = cursor.u16()?;
        let (extensions, mut well) = cursor.at_most(len.into());
        well &= cursor.is_empty();
        let mut extensions = Cursor(extensions);
        let mut met = Met::default();
        while !extensions.is_empty() {
            let kind = ExtensionType(extensions.u16()?);
            let len = extensions.u16()?;
            let (body, whole) = extensions.at_most(len.into());
            self.extensions.push(kind);
            well &= whole && met.first(kind.0) && self.fill_extension(kind, body).is_some();
        }
        well.then_some(())
    }

    fn fill_extension(&mut self, kind: ExtensionType, body: &[u8]) -> Option<()> {
        let mut cursor = Cursor(body);
        match kind {
            ExtensionType::SUPPORTED_VERSIONS => self.version = Version(cursor.u16()?),
            ExtensionType::KEY_SHARE | ExtensionType::KEY_SHARE_DRAFT => {
                self.group = Some(Group(cursor.u16()?))
            }
            ExtensionType::ALPN => self.alpn = Some(protocol(Cursor(cursor.vec16()?).vec8()?)),
            ExtensionType::PRE_SHARED_KEY => self.psk = true,
            ExtensionType::STATUS_REQUEST => self.status_request = true,
            ExtensionType::SESSION_TICKET => self.session_ticket = true,
            ExtensionType::ENCRYPT_THEN_MAC => self.encrypt_then_mac = true,
            ExtensionType::EXTENDED_MASTER_SECRET => self.extended_master_secret = true,
            _ => {}
        }
        Some(())
    }
}

/// A host name as events show it.
fn name(bytes: &[u8]) -> Arc<str> {
    text(bytes, true).into()
}

/// An ALPN protocol as events show it.
fn protocol(bytes: &[u8]) -> Cow<'static, str> {
    match bytes {
        b"h2" => Cow::Borrowed("h2"),
        b"http/1.1" => Cow::Borrowed("http/1.1"),
        _ => Cow::Owned(text(bytes, false)),
    }
}

/// Bytes as text that is safe to print: UTF-8 without control characters as it is, anything else with `\xNN` for
/// each byte that is no printable ASCII. `lower`: ASCII letters in lower case.
fn text(bytes: &[u8], lower: bool) -> String {
    let plain = |text: &str| !text.chars().any(|c| c.is_control() || c == '\\');
    let mut text = match str::from_utf8(bytes) {
        Ok(text) if plain(text) => text.to_owned(),
        _ => bytes
            .iter()
            .map(|&byte| match byte {
                b'\\' => "\\\\".to_owned(),
                0x20..=0x7e => char::from(byte).to_string(),
                _ => format!("\\x{byte:02x}"),
            })
            .collect(),
    };
    if lower {
        text.make_ascii_lowercase();
    }
    text
}

#[cfg(test)]
mod tests;
