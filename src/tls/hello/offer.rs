//! What a ClientHello offers: the part that a program says again and again.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use super::Met;
use crate::tls::codes::{CipherSuite, ExtensionType, Group, SignatureScheme, Version, is_grease};
use crate::tls::cursor::{Cursor, numbers};
use crate::tls::stack::Stack;

/// What a client offered, without what differs from hello to hello. Most programs offer the same each time; browsers vary
/// GREASE and the order of extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// `legacy_version`.
    pub legacy_version: Version,
    /// Offered suites in order, GREASE included.
    pub ciphers: Vec<CipherSuite>,
    /// Extension types in order, GREASE included.
    pub extensions: Vec<ExtensionType>,
    /// ALPN protocols in order (RFC 7301).
    pub alpn: Vec<Cow<'static, str>>,
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
    /// Encrypted ClientHello (0xfe0d) is present, real or GREASE.
    pub ech: bool,
    /// `TLS_FALLBACK_SCSV` (RFC 7507) is among the suites.
    pub fallback_scsv: bool,
    /// Extended master secret (RFC 7627).
    pub extended_master_secret: bool,
    /// First and last byte of the first ALPN protocol as sent (for JA4); `None` where there is none.
    pub alpn_ends: Option<(u8, u8)>,
    /// Encrypt-then-MAC (RFC 7366).
    pub encrypt_then_mac: bool,
    /// Whose stack makes such an offer, once that was asked.
    pub whose: Whose,
}

/// An answer of [`Stack::of_offer`], which follows from the offer and says nothing more of it.
#[derive(Clone, Debug, Default)]
pub struct Whose(OnceLock<Option<Stack>>);

impl Whose {
    /// The answer, worked out where it has not been.
    pub(in crate::tls) fn or(&self, tell: impl FnOnce() -> Option<Stack>) -> Option<Stack> {
        *self.0.get_or_init(tell)
    }
}

impl PartialEq for Whose {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Whose {}

/// As derived, but four numbers at a time: hashing them one by one would take as long as reading them.
impl Hash for Offer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { ciphers, extensions, supported_versions, groups, key_shares, signature_schemes, .. } =
            self;
        hash_numbers(ciphers, |suite| suite.0, state);
        hash_numbers(extensions, |extension| extension.0, state);
        hash_numbers(supported_versions, |version| version.0, state);
        hash_numbers(groups, |group| group.0, state);
        hash_numbers(key_shares, |group| group.0, state);
        hash_numbers(signature_schemes, |scheme| scheme.0, state);
        let Self { legacy_version, alpn, alpn_ends, point_formats, .. } = self;
        (legacy_version, alpn, alpn_ends, point_formats).hash(state);
        let Self { status_request, psk, early_data, ech, fallback_scsv, .. } = *self;
        let Self { extended_master_secret, encrypt_then_mac, .. } = *self;
        let marks = [status_request, psk, early_data, ech, fallback_scsv, extended_master_secret];
        (marks, encrypt_then_mac).hash(state);
    }
}

fn hash_numbers<T, H: Hasher>(list: &[T], number: impl Fn(&T) -> u16, state: &mut H) {
    let together = |numbers: &[T]| numbers.iter().fold(0_u64, |all, one| all << 16 | u64::from(number(one)));
    let (fours, rest) = list.as_chunks::<4>();
    list.len().hash(state);
    fours.iter().for_each(|four| together(four).hash(state));
    together(rest).hash(state);
}

/// What is a hello's own.
#[derive(Debug)]
pub(super) struct Own<'a> {
    pub random: [u8; 32],
    /// The host name as sent, within [`MOST_NAME`].
    pub sni: Option<&'a [u8]>,
    pub ticket_len: Option<usize>,
    pub ech_key: Option<u8>,
    /// Of the message with its header.
    pub len: u32,
    pub malformed: bool,
}

/// Longest name kept, in bytes: a DNS name has at most 253, an ALPN protocol at most 255.
pub(super) const MOST_NAME: usize = 255;
/// Most ALPN protocols kept; real clients offer two.
const MOST_ALPN: usize = 64;

impl Offer {
    /// Reads a hello's body into this offer, whose lists keep their memory, and gives what is the hello's own. `None`: not
    /// even version and random are there.
    pub(super) fn read<'a>(&mut self, body: &'a [u8]) -> Option<Own<'a>> {
        self.clear();
        let mut cursor = Cursor(body);
        self.legacy_version = Version(cursor.u16()?);
        let len = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
        let mut own = Own {
            random: cursor.array()?,
            sni: None,
            ticket_len: None,
            ech_key: None,
            len,
            malformed: false,
        };
        let well = self.fill(&mut cursor, &mut own).is_some();
        own.malformed = !well;
        Some(own)
    }

    fn clear(&mut self) {
        *self = Self {
            ciphers: emptied(&mut self.ciphers),
            extensions: emptied(&mut self.extensions),
            alpn: emptied(&mut self.alpn),
            supported_versions: emptied(&mut self.supported_versions),
            groups: emptied(&mut self.groups),
            key_shares: emptied(&mut self.key_shares),
            signature_schemes: emptied(&mut self.signature_schemes),
            point_formats: emptied(&mut self.point_formats),
            ..Self::default()
        };
    }

    /// Bytes of its lists.
    pub(super) fn weight(&self) -> usize {
        let numbers = self.ciphers.len()
            + self.extensions.len()
            + self.supported_versions.len()
            + self.groups.len()
            + self.key_shares.len()
            + self.signature_schemes.len();
        let alpn: usize = self.alpn.iter().map(|protocol| size_of::<Cow<'_, str>>() + protocol.len()).sum();
        size_of::<Self>() + numbers * 2 + self.point_formats.len() + alpn
    }

    /// Everything behind the random; `None` where it ends early or contradicts itself.
    fn fill<'a>(&mut self, cursor: &mut Cursor<'a>, own: &mut Own<'a>) -> Option<()> {
        let session_len = cursor.u8()?;
        let (_, whole) = cursor.at_most(session_len.into());
        whole.then_some(())?;
        if self.legacy_version.is_dtls() {
            cursor.vec8()?; // the cookie (RFC 6347 section 4.2.1)
        }
        let ciphers_len = cursor.u16()?;
        let (ciphers, whole) = cursor.at_most(ciphers_len.into());
        self.ciphers.extend(numbers(ciphers).map(CipherSuite));
        self.fallback_scsv = self.ciphers.contains(&CipherSuite::FALLBACK_SCSV);
        (whole && ciphers.len() % 2 == 0).then_some(())?;
        cursor.vec8()?; // compression methods
        if cursor.is_empty() {
            return Some(()); // SSL 3.0 and TLS 1.0 may end here
        }
        let extensions_len = cursor.u16()?;
        let (extensions, whole) = cursor.at_most(extensions_len.into());
        let well = self.extensions(Cursor(extensions), own);
        (whole && well && cursor.is_empty()).then_some(())
    }

    /// `false` where something is wrong; the extensions behind it are read all the same.
    fn extensions<'a>(&mut self, mut cursor: Cursor<'a>, own: &mut Own<'a>) -> bool {
        let mut well = true;
        let mut met = Met::default();
        while !cursor.is_empty() {
            let (Some(kind), Some(len)) = (cursor.u16(), cursor.u16()) else { return false };
            let (body, whole) = cursor.at_most(len.into());
            self.extensions.push(ExtensionType(kind));
            if met.first(kind) {
                well &= self.extension(ExtensionType(kind), body, own).is_some();
            } else {
                well = false;
            }
            well &= whole;
        }
        well
    }

    /// Reads one extension; `None` where it contradicts itself. Lists are read as far as they go.
    fn extension<'a>(&mut self, kind: ExtensionType, body: &'a [u8], own: &mut Own<'a>) -> Option<()> {
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
                    if name_type == 0 && own.sni.is_none() && !name.is_empty() {
                        own.sni = Some(name.get(..MOST_NAME).unwrap_or(name));
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
                    self.alpn.push(super::protocol(protocol));
                }
                whole.then_some(())
            }
            ExtensionType::SUPPORTED_VERSIONS => {
                let len = cursor.u8()?;
                let (list, whole) = cursor.at_most(len.into());
                self.supported_versions.extend(numbers(list).map(Version));
                (whole && list.len() % 2 == 0).then_some(())
            }
            ExtensionType::SUPPORTED_GROUPS => {
                let (list, well) = list16(&mut cursor)?;
                self.groups.extend(numbers(list).map(Group));
                well.then_some(())
            }
            ExtensionType::SIGNATURE_ALGORITHMS => {
                let (list, well) = list16(&mut cursor)?;
                self.signature_schemes.extend(numbers(list).map(SignatureScheme));
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
                self.point_formats.extend_from_slice(formats);
                whole.then_some(())
            }
            _ => {
                match kind {
                    ExtensionType::STATUS_REQUEST => self.status_request = true,
                    ExtensionType::PRE_SHARED_KEY => self.psk = true,
                    ExtensionType::EARLY_DATA => self.early_data = true,
                    ExtensionType::SESSION_TICKET => own.ticket_len = Some(body.len()),
                    ExtensionType::ENCRYPTED_CLIENT_HELLO => {
                        self.ech = true;
                        own.ech_key = outer_key(body);
                    }
                    ExtensionType::ENCRYPT_THEN_MAC => self.encrypt_then_mac = true,
                    ExtensionType::EXTENDED_MASTER_SECRET => self.extended_master_secret = true,
                    _ => {}
                }
                Some(())
            }
        }
    }

    /// The highest version offered: among `supported_versions` without GREASE, else `legacy_version`.
    pub fn highest_version(&self) -> Version {
        let listed = self.supported_versions.iter().copied().filter(|version| !is_grease(version.0));
        // A draft's number is over TLS 1.3's, and stands for it.
        listed.max_by_key(|version| (version.is_tls13(), *version)).unwrap_or(self.legacy_version)
    }
}

/// `config_id` of an outer encrypted ClientHello (RFC 9849 section 5): behind its type and the numbers of KDF and AEAD.
pub(super) fn outer_key(body: &[u8]) -> Option<u8> {
    match body {
        [0, _, _, _, _, key, ..] => Some(*key),
        _ => None,
    }
}

/// The list's memory without its values.
fn emptied<T>(list: &mut Vec<T>) -> Vec<T> {
    let mut list = std::mem::take(list);
    list.clear();
    list
}

/// A list of 16-bit numbers behind a 16-bit length, and whether it is whole and even.
fn list16<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a [u8], bool)> {
    let len = cursor.u16()?;
    let (list, whole) = cursor.at_most(len.into());
    Some((list, whole && list.len() % 2 == 0))
}
