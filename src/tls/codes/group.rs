//! Named groups (IANA "TLS Supported Groups").

use super::{Group, is_grease};

macro_rules! groups {
    ($( $name:ident = $code:literal $word:literal ),+ $(,)?) => {
        impl Group {
            $( #[doc = $word] pub const $name: Self = Self($code); )+

            /// The registered name; `GREASE` for RFC 8701's numbers; `None` where nobody registered it.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $( $code => Some($word), )+
                    n if is_grease(n) => Some("GREASE"),
                    _ => None,
                }
            }
        }
    };
}

groups! {
    SECT163K1 = 1 "sect163k1",
    SECT163R1 = 2 "sect163r1",
    SECT163R2 = 3 "sect163r2",
    SECT193R1 = 4 "sect193r1",
    SECT193R2 = 5 "sect193r2",
    SECT233K1 = 6 "sect233k1",
    SECT233R1 = 7 "sect233r1",
    SECT239K1 = 8 "sect239k1",
    SECT283K1 = 9 "sect283k1",
    SECT283R1 = 10 "sect283r1",
    SECT409K1 = 11 "sect409k1",
    SECT409R1 = 12 "sect409r1",
    SECT571K1 = 13 "sect571k1",
    SECT571R1 = 14 "sect571r1",
    SECP160K1 = 15 "secp160k1",
    SECP160R1 = 16 "secp160r1",
    SECP160R2 = 17 "secp160r2",
    SECP192K1 = 18 "secp192k1",
    SECP192R1 = 19 "secp192r1",
    SECP224K1 = 20 "secp224k1",
    SECP224R1 = 21 "secp224r1",
    SECP256K1 = 22 "secp256k1",
    SECP256R1 = 23 "secp256r1",
    SECP384R1 = 24 "secp384r1",
    SECP521R1 = 25 "secp521r1",
    BRAINPOOL_P256R1 = 26 "brainpoolP256r1",
    BRAINPOOL_P384R1 = 27 "brainpoolP384r1",
    BRAINPOOL_P512R1 = 28 "brainpoolP512r1",
    X25519 = 29 "x25519",
    X448 = 30 "x448",
    BRAINPOOL_P256R1_TLS13 = 31 "brainpoolP256r1tls13",
    BRAINPOOL_P384R1_TLS13 = 32 "brainpoolP384r1tls13",
    BRAINPOOL_P512R1_TLS13 = 33 "brainpoolP512r1tls13",
    GC256A = 34 "GC256A",
    GC256B = 35 "GC256B",
    GC256C = 36 "GC256C",
    GC256D = 37 "GC256D",
    GC512A = 38 "GC512A",
    GC512B = 39 "GC512B",
    GC512C = 40 "GC512C",
    CURVE_SM2 = 41 "curveSM2",
    FFDHE2048 = 256 "ffdhe2048",
    FFDHE3072 = 257 "ffdhe3072",
    FFDHE4096 = 258 "ffdhe4096",
    FFDHE6144 = 259 "ffdhe6144",
    FFDHE8192 = 260 "ffdhe8192",
    MLKEM512 = 0x0200 "MLKEM512",
    MLKEM768 = 0x0201 "MLKEM768",
    MLKEM1024 = 0x0202 "MLKEM1024",
    SECP256R1_MLKEM768 = 0x11eb "SecP256r1MLKEM768",
    X25519_MLKEM768 = 0x11ec "X25519MLKEM768",
    SECP384R1_MLKEM1024 = 0x11ed "SecP384r1MLKEM1024",
    CURVE_SM2_MLKEM768 = 0x11ee "curveSM2MLKEM768",
    X25519_KYBER768_DRAFT00 = 0x6399 "X25519Kyber768Draft00",
    SECP256R1_KYBER768_DRAFT00 = 0x639a "SecP256r1Kyber768Draft00",
    EXPLICIT_PRIME_CURVES = 0xff01 "arbitrary_explicit_prime_curves",
    EXPLICIT_CHAR2_CURVES = 0xff02 "arbitrary_explicit_char2_curves",
}

impl Group {
    /// A KEM that resists quantum computers, alone or as a hybrid; its shares make a hello long.
    pub const fn is_post_quantum(self) -> bool {
        matches!(self.0, 0x0200..=0x0202 | 0x11eb..=0x11ee | 0x6399 | 0x639a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_prints_its_name_or_its_number() {
        assert_eq!(Group(29).to_string(), "x25519");
        assert_eq!(Group(0x11ec).to_string(), "X25519MLKEM768");
        assert_eq!(Group(0x3a3a).to_string(), "GREASE");
        assert_eq!(Group(0x4242).to_string(), "0x4242");
    }

    #[test]
    fn hybrids_count_as_post_quantum_and_curves_do_not() {
        assert!(Group::X25519_MLKEM768.is_post_quantum());
        assert!(!Group::X25519.is_post_quantum());
    }
}
