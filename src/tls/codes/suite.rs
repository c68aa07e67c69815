//! What a cipher suite's name says: key exchange, authentication, bulk cipher.

use std::sync::{LazyLock, OnceLock};

use super::suite_names::NAMES;
use super::{CipherSuite, is_grease};

/// How the premaster secret is agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kx {
    /// TLS 1.3: always (EC)DHE or a KEM, told by the key share.
    Tls13,
    /// Ephemeral Diffie-Hellman.
    Dhe,
    /// Ephemeral elliptic curve Diffie-Hellman.
    Ecdhe,
    /// Encrypted to the certificate's RSA key: no forward secrecy.
    Rsa,
    /// Encrypted to a short RSA key in ServerKeyExchange.
    RsaExport,
    /// Static Diffie-Hellman.
    Dh,
    /// Static elliptic curve Diffie-Hellman.
    Ecdh,
    /// Pre-shared key alone.
    Psk,
    /// Pre-shared key with DHE.
    DhePsk,
    /// Pre-shared key with ECDHE.
    EcdhePsk,
    /// Pre-shared key with RSA.
    RsaPsk,
    /// Secure remote password (RFC 5054).
    Srp,
    /// Kerberos (RFC 2712).
    Krb5,
    /// GOST (RFC 9189 and drafts).
    Gost,
    /// TLCP: SM2 encryption to the second certificate.
    SmEcc,
    /// TLCP: SM2 key agreement with both sides' certificates.
    SmEcdhe,
    /// TLCP: SM9 identities.
    SmIdentity,
    /// Password-authenticated exchanges (ECCPWD, ECJPAKE).
    Password,
    /// No exchange: `TLS_NULL_WITH_NULL_NULL`, signalling values, GREASE, unknown numbers.
    None,
}

/// Whose key vouches for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Auth {
    /// TLS 1.3: told by `signature_algorithms`.
    Tls13,
    /// RSA certificate.
    Rsa,
    /// DSA certificate.
    Dss,
    /// ECDSA certificate; EdDSA too (RFC 8422).
    Ecdsa,
    /// SM2 certificates.
    Sm2,
    /// GOST certificate.
    Gost,
    /// A shared key or password; no certificate.
    Shared,
    /// Nobody.
    Anon,
    /// Not known.
    None,
}

/// How records are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bulk {
    /// AEAD: explicit nonce bytes on each TLS 1.2 record, and tag bytes.
    Aead {
        /// Explicit nonce per record in TLS 1.2: 8 for GCM and CCM, 0 for ChaCha20-Poly1305.
        explicit: usize,
        /// Tag: 8 or 16.
        tag: usize,
    },
    /// Block cipher in CBC mode with a MAC.
    Cbc {
        /// Block size: 8 or 16.
        block: usize,
        /// MAC size.
        mac: usize,
    },
    /// Stream cipher or none, with a MAC.
    Stream {
        /// MAC size.
        mac: usize,
    },
}

/// What a name says, read once.
#[derive(Clone, Copy, Debug)]
struct Traits {
    kx: Kx,
    auth: Auth,
    bulk: Option<Bulk>,
    hash_len: usize,
    weak: bool,
}

/// Places in [`NAMES`] by number: one page for each upper byte that is in use, the first page empty.
struct Pages {
    page_of: [u8; 256],
    pages: Vec<[u16; 256]>,
}

impl Pages {
    const NOWHERE: u16 = u16::MAX;

    fn of_names() -> Self {
        let mut all = Self { page_of: [0; 256], pages: vec![[Self::NOWHERE; 256]] };
        for (place, &(code, _)) in (0..).zip(NAMES) {
            let [upper, lower] = code.to_be_bytes();
            let Some(page) = all.page_of.get_mut(usize::from(upper)) else { continue };
            if *page == 0 {
                *page = u8::try_from(all.pages.len()).unwrap_or_default();
                all.pages.push([Self::NOWHERE; 256]);
            }
            if let Some(entry) =
                all.pages.get_mut(usize::from(*page)).and_then(|page| page.get_mut(usize::from(lower)))
            {
                *entry = place;
            }
        }
        all
    }

    fn place(&self, code: u16) -> Option<usize> {
        let [upper, lower] = code.to_be_bytes();
        let page = *self.page_of.get(usize::from(upper))?;
        let place = *self.pages.get(usize::from(page))?.get(usize::from(lower))?;
        (place != Self::NOWHERE).then_some(place.into())
    }
}

static PAGES: LazyLock<Pages> = LazyLock::new(Pages::of_names);
static TRAITS: [OnceLock<Traits>; NAMES.len()] = [const { OnceLock::new() }; NAMES.len()];

impl CipherSuite {
    /// `TLS_EMPTY_RENEGOTIATION_INFO_SCSV` (RFC 5746).
    pub const RENEGOTIATION_SCSV: Self = Self(0x00ff);
    /// `TLS_FALLBACK_SCSV` (RFC 7507).
    pub const FALLBACK_SCSV: Self = Self(0x5600);

    /// The registered name; `GREASE` for RFC 8701's numbers; `None` where nobody registered it.
    pub fn name(self) -> Option<&'static str> {
        match PAGES.place(self.0) {
            Some(place) => NAMES.get(place).map(|&(_, name)| name),
            None if is_grease(self.0) => Some("GREASE"),
            None => None,
        }
    }

    fn traits(self) -> Traits {
        match PAGES.place(self.0).and_then(|place| TRAITS.get(place)) {
            Some(traits) => *traits.get_or_init(|| self.read()),
            None => self.read(),
        }
    }

    fn read(self) -> Traits {
        let kx = self.read_kx();
        Traits {
            kx,
            auth: self.read_auth(kx),
            bulk: self.read_bulk(),
            hash_len: self.read_hash_len(),
            weak: self.read_weak(),
        }
    }

    /// How the secret is agreed.
    pub fn kx(self) -> Kx {
        self.traits().kx
    }

    /// Whose key vouches for the server.
    pub fn auth(self) -> Auth {
        self.traits().auth
    }

    /// Bytes of the handshake hash: 48 for suites that end in SHA384, 64 for SHA512, else 32.
    pub fn hash_len(self) -> usize {
        self.traits().hash_len
    }

    /// How records are protected; `None` for signalling values and unknown numbers.
    pub fn bulk(self) -> Option<Bulk> {
        self.traits().bulk
    }

    /// Offers no real protection: no encryption, export strength, RC4, RC2, single DES, or nobody authenticated.
    pub fn weak(self) -> bool {
        self.traits().weak
    }

    /// The name's part before `_WITH_` without `TLS_`, and the part behind it.
    fn halves(self) -> Option<(&'static str, &'static str)> {
        let name = self.name()?;
        name.trim_start_matches("TLS_").trim_start_matches("SSL_").split_once("_WITH_")
    }

    /// TLCP's suites, whose names have no `_WITH_` (GB/T 38636-2020 section 6.4.5.2.1).
    pub const fn is_tlcp(self) -> bool {
        matches!(self.0, 0xe001..=0xe05a)
    }

    /// Of SM4: TLCP's, and those of RFC 8998 in TLS 1.3.
    pub const fn is_national(self) -> bool {
        self.is_tlcp() || matches!(self.0, 0x00c6 | 0x00c7)
    }

    /// A TLS 1.3 suite (RFC 9846 appendix B.4, RFC 8998, RFC 9150, RFC 9367).
    pub const fn is_tls13(self) -> bool {
        matches!(self.0, 0x1301..=0x1307 | 0x00c6 | 0x00c7 | 0xc0b4 | 0xc0b5 | 0xc103..=0xc106)
    }

    fn read_kx(self) -> Kx {
        if self.is_tls13() {
            return Kx::Tls13;
        }
        if self.is_tlcp() {
            return match self.name().unwrap_or_default() {
                name if name.starts_with("ECDHE") => Kx::SmEcdhe,
                name if name.starts_with("ECC") => Kx::SmEcc,
                name if name.starts_with("IB") => Kx::SmIdentity,
                name if name.starts_with("RSA") => Kx::Rsa,
                _ => Kx::None,
            };
        }
        let Some((exchange, _)) = self.halves() else { return Kx::None };
        match exchange {
            "RSA_EXPORT" | "RSA_EXPORT1024" => Kx::RsaExport,
            "RSA" | "RSA_FIPS" => Kx::Rsa,
            "PSK" => Kx::Psk,
            "RSA_PSK" => Kx::RsaPsk,
            "DHE_PSK" | "PSK_DHE" => Kx::DhePsk,
            "ECDHE_PSK" => Kx::EcdhePsk,
            "ECCPWD" | "ECJPAKE" => Kx::Password,
            e if e.starts_with("SRP") => Kx::Srp,
            e if e.starts_with("KRB5") => Kx::Krb5,
            e if e.starts_with("GOST") => Kx::Gost,
            e if e.starts_with("ECDHE") || e == "ECDH_anon" => Kx::Ecdhe,
            e if e.starts_with("ECDH") => Kx::Ecdh,
            e if e.starts_with("DHE") || e.starts_with("DH_anon") => Kx::Dhe,
            e if e.starts_with("DH") => Kx::Dh,
            _ => Kx::None,
        }
    }

    fn read_auth(self, kx: Kx) -> Auth {
        if self.is_tls13() {
            return Auth::Tls13;
        }
        match kx {
            Kx::Psk | Kx::DhePsk | Kx::EcdhePsk | Kx::Krb5 | Kx::Password => return Auth::Shared,
            Kx::RsaPsk => return Auth::Rsa,
            Kx::SmEcc | Kx::SmEcdhe | Kx::SmIdentity => return Auth::Sm2,
            Kx::Gost => return Auth::Gost,
            Kx::Rsa | Kx::RsaExport => return Auth::Rsa,
            Kx::None => return Auth::None,
            _ => {}
        }
        let Some((exchange, _)) = self.halves() else { return Auth::None };
        let exchange = exchange.trim_end_matches("_EXPORT").trim_end_matches("_EXPORT1024");
        match exchange.rsplit('_').next() {
            Some("anon") => Auth::Anon,
            Some("RSA") => Auth::Rsa,
            Some("DSS") => Auth::Dss,
            Some("ECDSA") => Auth::Ecdsa,
            _ => Auth::Shared, // SRP_SHA without a certificate
        }
    }

    fn read_hash_len(self) -> usize {
        match self.name() {
            Some(name) if name.ends_with("SHA384") => 48,
            Some(name) if name.ends_with("SHA512") => 64,
            _ => 32,
        }
    }

    /// Bytes of the AEAD tag (8 for CCM_8, 16 else), or of the MAC.
    pub fn tag_len(self) -> usize {
        match self.bulk() {
            Some(Bulk::Aead { tag, .. }) => tag,
            Some(Bulk::Cbc { mac, .. } | Bulk::Stream { mac }) => mac,
            None => 0,
        }
    }

    fn read_bulk(self) -> Option<Bulk> {
        let cipher = match self.halves() {
            Some((_, cipher)) => cipher,
            None if self.is_tls13() || self.is_tlcp() => self.name()?,
            None => return None,
        };
        if matches!(self.0, 0xc0b4 | 0xc0b5) {
            return Some(Bulk::Stream { mac: self.read_hash_len() }); // RFC 9150: integrity only
        }
        if cipher.contains("CCM_8") {
            return Some(Bulk::Aead { explicit: 8, tag: 8 });
        }
        if cipher.contains("GCM") || cipher.contains("CCM") {
            return Some(Bulk::Aead { explicit: 8, tag: 16 });
        }
        if cipher.contains("POLY1305") || cipher.contains("AEGIS") || cipher.contains("MGM") {
            return Some(Bulk::Aead { explicit: 0, tag: 16 });
        }
        let mac = match cipher.rsplit('_').next()? {
            "MD5" => 16,
            "SHA" | "SHA1" => 20,
            "SHA256" | "SM3" | "GOSTR3411" => 32,
            "SHA384" => 48,
            "OMAC" if cipher.starts_with("KUZN") => 16,
            "OMAC" => 8,
            "IMIT" => 4,
            _ => 0,
        };
        if !cipher.contains("CBC") && !cipher.contains("SM1") {
            return Some(Bulk::Stream { mac });
        }
        let small = ["DES", "RC2", "IDEA"].iter().any(|name| cipher.contains(name));
        Some(Bulk::Cbc { block: if small { 8 } else { 16 }, mac })
    }

    fn read_weak(self) -> bool {
        let Some(name) = self.name() else { return false };
        ["NULL", "EXPORT", "RC4", "RC2", "DES_CBC_", "DES40", "anon"].iter().any(|mark| name.contains(mark))
            || name == "TLS_SHA256_SHA256"
            || name == "TLS_SHA384_SHA384"
    }

    /// Signals something, and can never be chosen: the two SCSVs and GREASE.
    pub const fn is_signal(self) -> bool {
        matches!(self, Self::RENEGOTIATION_SCSV | Self::FALLBACK_SCSV) || is_grease(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_ascends_and_covers_the_registry() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        assert!(NAMES.len() >= 360, "{}", NAMES.len());
    }

    #[test]
    fn every_registered_number_is_found_and_no_other() {
        for code in 0..=u16::MAX {
            let named = NAMES.binary_search_by_key(&code, |&(code, _)| code).ok();
            assert_eq!(PAGES.place(code), named, "{code:#06x}");
        }
    }

    #[test]
    fn a_suite_prints_its_name_or_its_number() {
        assert_eq!(CipherSuite(0xc02f).to_string(), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
        assert_eq!(CipherSuite(0x00c6).to_string(), "TLS_SM4_GCM_SM3");
        assert_eq!(CipherSuite(0xe013).to_string(), "ECC_SM4_CBC_SM3");
        assert_eq!(CipherSuite(0x5600).to_string(), "TLS_FALLBACK_SCSV");
        assert_eq!(CipherSuite(0x8a8a).to_string(), "GREASE");
        assert_eq!(CipherSuite(0x7777).to_string(), "0x7777");
    }

    #[test]
    fn names_say_key_exchange_and_authentication() {
        let cases = [
            (0x1301, Kx::Tls13, Auth::Tls13),
            (0x002f, Kx::Rsa, Auth::Rsa),
            (0x0003, Kx::RsaExport, Auth::Rsa),
            (0x0039, Kx::Dhe, Auth::Rsa),
            (0x0032, Kx::Dhe, Auth::Dss),
            (0x0014, Kx::Dhe, Auth::Rsa),
            (0x0063, Kx::Dhe, Auth::Dss),
            (0x0034, Kx::Dhe, Auth::Anon),
            (0x0017, Kx::Dhe, Auth::Anon),
            (0xc018, Kx::Ecdhe, Auth::Anon),
            (0xc02b, Kx::Ecdhe, Auth::Ecdsa),
            (0xc02d, Kx::Ecdh, Auth::Ecdsa),
            (0x0036, Kx::Dh, Auth::Dss),
            (0x008c, Kx::Psk, Auth::Shared),
            (0x00ac, Kx::RsaPsk, Auth::Rsa),
            (0xd001, Kx::EcdhePsk, Auth::Shared),
            (0xc01d, Kx::Srp, Auth::Shared),
            (0xc01e, Kx::Srp, Auth::Rsa),
            (0xe013, Kx::SmEcc, Auth::Sm2),
            (0xe011, Kx::SmEcdhe, Auth::Sm2),
            (0xc102, Kx::Gost, Auth::Gost),
            (0x00ff, Kx::None, Auth::None),
            (0x0a0a, Kx::None, Auth::None),
        ];
        for (code, kx, auth) in cases {
            let suite = CipherSuite(code);
            assert_eq!((suite.kx(), suite.auth()), (kx, auth), "{suite}");
        }
    }

    #[test]
    fn names_say_how_records_are_protected() {
        let cases = [
            (0xc02f, Bulk::Aead { explicit: 8, tag: 16 }),
            (0xcca8, Bulk::Aead { explicit: 0, tag: 16 }),
            (0x1305, Bulk::Aead { explicit: 8, tag: 8 }),
            (0x002f, Bulk::Cbc { block: 16, mac: 20 }),
            (0xc028, Bulk::Cbc { block: 16, mac: 48 }),
            (0x000a, Bulk::Cbc { block: 8, mac: 20 }),
            (0x0005, Bulk::Stream { mac: 20 }),
            (0x0004, Bulk::Stream { mac: 16 }),
            (0x003b, Bulk::Stream { mac: 32 }),
            (0xe013, Bulk::Cbc { block: 16, mac: 32 }),
            (0x00c6, Bulk::Aead { explicit: 8, tag: 16 }),
        ];
        for (code, bulk) in cases {
            assert_eq!(CipherSuite(code).bulk(), Some(bulk), "{}", CipherSuite(code));
        }
        assert_eq!(CipherSuite(0x5600).bulk(), None);
        assert_eq!(CipherSuite(0x1302).hash_len(), 48);
        assert_eq!(CipherSuite(0x1303).hash_len(), 32);
    }

    #[test]
    fn weak_suites_are_told_from_sound_ones() {
        for code in [0x0000, 0x0003, 0x0005, 0x0009, 0x0034, 0x003b, 0x0006] {
            assert!(CipherSuite(code).weak(), "{}", CipherSuite(code));
        }
        for code in [0x1301, 0xc02f, 0x002f, 0x000a, 0x7777] {
            assert!(!CipherSuite(code).weak(), "{}", CipherSuite(code));
        }
    }
}
