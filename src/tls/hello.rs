//! ClientHello, ServerHello and HelloRetryRequest.
//!
//! Read by a walk of our own rather than by a general TLS library: those known to us drop everything behind a
//! malformed extension without a word, refuse version 0x0101 (TLCP), do not know newer extensions and groups, and
//! cannot read a hello that the capture cut. Here whatever is readable is read, and `malformed` says that there was
//! more or that lengths contradict each other.

use super::codes::{CipherSuite, ExtensionType, Group, SignatureScheme, Version, is_grease};
use super::cursor::{Cursor, numbers};

/// What a client offered (RFC 5246 section 7.4.1.2, RFC 9846 section 4.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// Version of the record that carried it.
    pub record_version: Version,
    /// `legacy_version`.
    pub legacy_version: Version,
    /// `random`.
    pub random: [u8; 32],
    /// `legacy_session_id`; 0 to 32 bytes.
    pub session_id: Vec<u8>,
    /// Offered suites in order, GREASE included.
    pub ciphers: Vec<CipherSuite>,
    /// Extension types in order, GREASE included.
    pub extensions: Vec<ExtensionType>,
    /// The host name asked for (RFC 6066 section 3), lower case, as sent otherwise.
    pub sni: Option<String>,
    /// ALPN protocols in order (RFC 7301).
    pub alpn: Vec<String>,
    /// `supported_versions`, empty where the extension is absent.
    pub supported_versions: Vec<Version>,
    /// `supported_groups`.
    pub groups: Vec<Group>,
    /// Groups with a key share (TLS 1.3).
    pub key_shares: Vec<Group>,
    /// `signature_algorithms`.
    pub signature_schemes: Vec<SignatureScheme>,
    /// `ec_point_formats`.
    pub point_formats: Vec<u8>,
    /// Asked for a stapled OCSP answer.
    pub status_request: bool,
    /// Offered a pre-shared key (TLS 1.3 resumption).
    pub psk: bool,
    /// Sends early data behind this hello.
    pub early_data: bool,
    /// Length of the session ticket offered (RFC 5077); `Some(0)` asks for one.
    pub ticket_len: Option<usize>,
    /// Encrypted ClientHello (0xfe0d) is present, real or GREASE.
    pub ech: bool,
    /// `TLS_FALLBACK_SCSV` (RFC 7507) is among the suites.
    pub fallback_scsv: bool,
    /// Extended master secret (RFC 7627).
    pub extended_master_secret: bool,
    /// It came in SSL 2.0 framing (RFC 5246 appendix E.2).
    pub sslv2_framed: bool,
    /// First and last byte of the first ALPN protocol as sent (for JA4); `None` where there is none.
    pub alpn_ends: Option<(u8, u8)>,
    /// Encrypt-then-MAC (RFC 7366).
    pub encrypt_then_mac: bool,
    /// It ended early, contradicted its lengths, or had an extension twice; what was read stands.
    pub malformed: bool,
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
    /// `session_id`, echoed or new.
    pub session_id: Vec<u8>,
    /// The chosen suite.
    pub cipher: CipherSuite,
    /// Extension types in order.
    pub extensions: Vec<ExtensionType>,
    /// Chosen ALPN protocol where in clear (TLS 1.2).
    pub alpn: Option<String>,
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

/// Longest name kept, in bytes: a DNS name has at most 253, an ALPN protocol at most 255.
const MOST_NAME: usize = 255;
/// Most ALPN protocols kept; real clients offer two.
const MOST_ALPN: usize = 64;

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
        let mut cursor = Cursor(body);
        let mut hello = Self {
            record_version,
            legacy_version: Version(cursor.u16()?),
            random: cursor.array()?,
            ..Self::default()
        };
        hello.malformed = hello.fill(&mut cursor).is_none();
        Some(hello)
    }

    /// Everything behind the random; `None` where it ends early or contradicts itself.
    fn fill(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let session_len = cursor.u8()?;
        let (session, whole) = cursor.at_most(session_len.into());
        self.session_id = session.to_vec();
        whole.then_some(())?;
        let ciphers_len = cursor.u16()?;
        let (ciphers, whole) = cursor.at_most(ciphers_len.into());
        self.ciphers = numbers(ciphers).map(CipherSuite).collect();
        self.fallback_scsv = self.ciphers.contains(&CipherSuite::FALLBACK_SCSV);
        (whole && ciphers.len() % 2 == 0).then_some(())?;
        cursor.vec8()?; // compression methods
        if cursor.is_empty() {
            return Some(()); // SSL 3.0 and TLS 1.0 may end here
        }
        let extensions_len = cursor.u16()?;
        let (extensions, whole) = cursor.at_most(extensions_len.into());
        let well = self.fill_extensions(Cursor(extensions));
        (whole && well && cursor.is_empty()).then_some(())
    }

    /// `false` where something is wrong; the extensions behind it are read all the same.
    fn fill_extensions(&mut self, mut cursor: Cursor<'_>) -> bool {
        self.extensions.reserve_exact((cursor.0.len() / 4).min(32));
        let mut well = true;
        let mut met = Met::default();
        while !cursor.is_empty() {
            let (Some(kind), Some(len)) = (cursor.u16(), cursor.u16()) else { return false };
            let (body, whole) = cursor.at_most(len.into());
            self.extensions.push(ExtensionType(kind));
            if met.first(kind) {
                well &= self.fill_extension(ExtensionType(kind), body).is_some();
            } else {
                well = false;
            }
            well &= whole;
        }
        well
    }

    /// Reads one extension; `None` where it contradicts itself. Lists are read as far as they go.
    fn fill_extension(&mut self, kind: ExtensionType, body: &[u8]) -> Option<()> {
        let mut cursor = Cursor(body);
        match kind {
            ExtensionType::SERVER_NAME => {
                let len = cursor.u16()?;
                let (names, whole) = cursor.at_most(len.into());
                let mut names = Cursor(names);
                while !names.is_empty() {
                    let name_type = names.u8()?;
                    let len = names.u16()?;
                    let (name, whole) = names.at_most(len.into());
                    if name_type == 0 && self.sni.is_none() && !name.is_empty() {
                        self.sni = Some(text(name.get(..MOST_NAME).unwrap_or(name), true));
                    }
                    (whole && name.len() <= MOST_NAME).then_some(())?;
                }
                whole.then_some(())
            }
            ExtensionType::ALPN => {
                let len = cursor.u16()?;
                let (protocols, whole) = cursor.at_most(len.into());
                let mut protocols = Cursor(protocols);
                while !protocols.is_empty() && self.alpn.len() < MOST_ALPN {
                    let protocol = protocols.vec8()?;
                    if self.alpn.is_empty() {
                        self.alpn_ends = protocol.first().copied().zip(protocol.last().copied());
                    }
                    self.alpn.push(text(protocol, false));
                }
                whole.then_some(())
            }
            ExtensionType::SUPPORTED_VERSIONS => {
                let len = cursor.u8()?;
                let (list, whole) = cursor.at_most(len.into());
                self.supported_versions = numbers(list).map(Version).collect();
                (whole && list.len() % 2 == 0).then_some(())
            }
            ExtensionType::SUPPORTED_GROUPS => {
                let (list, well) = list16(&mut cursor)?;
                self.groups = numbers(list).map(Group).collect();
                well.then_some(())
            }
            ExtensionType::SIGNATURE_ALGORITHMS => {
                let (list, well) = list16(&mut cursor)?;
                self.signature_schemes = numbers(list).map(SignatureScheme).collect();
                well.then_some(())
            }
            ExtensionType::KEY_SHARE | ExtensionType::KEY_SHARE_DRAFT => {
                let len = cursor.u16()?;
                let (shares, whole) = cursor.at_most(len.into());
                let mut shares = Cursor(shares);
                while !shares.is_empty() {
                    self.key_shares.push(Group(shares.u16()?));
                    shares.vec16()?;
                }
                whole.then_some(())
            }
            ExtensionType::EC_POINT_FORMATS => {
                let len = cursor.u8()?;
                let (formats, whole) = cursor.at_most(len.into());
                self.point_formats = formats.to_vec();
                whole.then_some(())
            }
            _ => {
                match kind {
                    ExtensionType::STATUS_REQUEST => self.status_request = true,
                    ExtensionType::PRE_SHARED_KEY => self.psk = true,
                    ExtensionType::EARLY_DATA => self.early_data = true,
                    ExtensionType::SESSION_TICKET => self.ticket_len = Some(body.len()),
                    ExtensionType::ENCRYPTED_CLIENT_HELLO => self.ech = true,
                    ExtensionType::ENCRYPT_THEN_MAC => self.encrypt_then_mac = true,
                    ExtensionType::EXTENDED_MASTER_SECRET => self.extended_master_secret = true,
                    _ => {}
                }
                Some(())
            }
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
        let version = Version(cursor.u16()?);
        let mut hello = Self {
            record_version: Version::SSL2,
            legacy_version: version,
            sslv2_framed: true,
            ..Self::default()
        };
        let (ciphers_len, session_len, challenge_len) = (cursor.u16()?, cursor.u16()?, cursor.u16()?);
        let (ciphers, ciphers_whole) = cursor.at_most(ciphers_len.into());
        hello.ciphers = ciphers
            .chunks_exact(3)
            .filter_map(|three| match *three {
                [0, high, low] => Some(CipherSuite(u16::from_be_bytes([high, low]))),
                _ => None,
            })
            .collect();
        hello.fallback_scsv = hello.ciphers.contains(&CipherSuite::FALLBACK_SCSV);
        let (session, session_whole) = cursor.at_most(session_len.into());
        hello.session_id = session.to_vec();
        let (challenge, challenge_whole) = cursor.at_most(challenge_len.into());
        let tail = challenge.len().min(32);
        if let (Some(room), Some(random)) = (hello.random.get_mut(32 - tail..), challenge.get(..tail)) {
            room.copy_from_slice(random);
        }
        hello.malformed = !(ciphers_whole && session_whole && challenge_whole) || ciphers.len() % 3 != 0;
        Some(hello)
    }

    /// The highest version offered: among `supported_versions` without GREASE, else `legacy_version`.
    pub fn highest_version(&self) -> Version {
        let listed = self.supported_versions.iter().copied().filter(|version| !is_grease(version.0));
        // A draft's number is over TLS 1.3's, and stands for it.
        listed.max_by_key(|version| (version.is_tls13(), *version)).unwrap_or(self.legacy_version)
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
        let early_draft = version.0 >> 8 == 0x7f;
        if !early_draft {
            hello.session_id = cursor.vec8()?.to_vec();
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
            ExtensionType::ALPN => self.alpn = Some(text(Cursor(cursor.vec16()?).vec8()?, false)),
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

/// A list of 16-bit numbers behind a 16-bit length, and whether it is whole and even.
fn list16<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a [u8], bool)> {
    let len = cursor.u16()?;
    let (list, whole) = cursor.at_most(len.into());
    Some((list, whole && list.len() % 2 == 0))
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
