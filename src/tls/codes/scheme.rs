//! Signature schemes (IANA "TLS SignatureScheme"); TLS 1.2's pairs of hash and signature are named alike.

use super::{SignatureScheme, is_grease};

macro_rules! schemes {
    ($( $name:ident = $code:literal $word:literal ),+ $(,)?) => {
        impl SignatureScheme {
            $( #[doc = $word] pub const $name: Self = Self($code); )+

            /// The registered name, or that of the TLS 1.2 pair; `GREASE` for RFC 8701's numbers; `None`
            /// where nobody registered it.
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

schemes! {
    RSA_PKCS1_MD5 = 0x0101 "rsa_pkcs1_md5",
    DSA_MD5 = 0x0102 "dsa_md5",
    ECDSA_MD5 = 0x0103 "ecdsa_md5",
    RSA_PKCS1_SHA1 = 0x0201 "rsa_pkcs1_sha1",
    DSA_SHA1 = 0x0202 "dsa_sha1",
    ECDSA_SHA1 = 0x0203 "ecdsa_sha1",
    RSA_PKCS1_SHA224 = 0x0301 "rsa_pkcs1_sha224",
    DSA_SHA224 = 0x0302 "dsa_sha224",
    ECDSA_SHA224 = 0x0303 "ecdsa_sha224",
    RSA_PKCS1_SHA256 = 0x0401 "rsa_pkcs1_sha256",
    DSA_SHA256 = 0x0402 "dsa_sha256",
    ECDSA_SECP256R1_SHA256 = 0x0403 "ecdsa_secp256r1_sha256",
    RSA_PKCS1_SHA256_LEGACY = 0x0420 "rsa_pkcs1_sha256_legacy",
    RSA_PKCS1_SHA384 = 0x0501 "rsa_pkcs1_sha384",
    DSA_SHA384 = 0x0502 "dsa_sha384",
    ECDSA_SECP384R1_SHA384 = 0x0503 "ecdsa_secp384r1_sha384",
    RSA_PKCS1_SHA384_LEGACY = 0x0520 "rsa_pkcs1_sha384_legacy",
    RSA_PKCS1_SHA512 = 0x0601 "rsa_pkcs1_sha512",
    DSA_SHA512 = 0x0602 "dsa_sha512",
    ECDSA_SECP521R1_SHA512 = 0x0603 "ecdsa_secp521r1_sha512",
    RSA_PKCS1_SHA512_LEGACY = 0x0620 "rsa_pkcs1_sha512_legacy",
    ECCSI_SHA256 = 0x0704 "eccsi_sha256",
    ISO_IBS1 = 0x0705 "iso_ibs1",
    ISO_IBS2 = 0x0706 "iso_ibs2",
    ISO_CHINESE_IBS = 0x0707 "iso_chinese_ibs",
    SM2SIG_SM3 = 0x0708 "sm2sig_sm3",
    GOSTR34102012_256A = 0x0709 "gostr34102012_256a",
    GOSTR34102012_256B = 0x070a "gostr34102012_256b",
    GOSTR34102012_256C = 0x070b "gostr34102012_256c",
    GOSTR34102012_256D = 0x070c "gostr34102012_256d",
    GOSTR34102012_512A = 0x070d "gostr34102012_512a",
    GOSTR34102012_512B = 0x070e "gostr34102012_512b",
    GOSTR34102012_512C = 0x070f "gostr34102012_512c",
    RSA_PSS_RSAE_SHA256 = 0x0804 "rsa_pss_rsae_sha256",
    RSA_PSS_RSAE_SHA384 = 0x0805 "rsa_pss_rsae_sha384",
    RSA_PSS_RSAE_SHA512 = 0x0806 "rsa_pss_rsae_sha512",
    ED25519 = 0x0807 "ed25519",
    ED448 = 0x0808 "ed448",
    RSA_PSS_PSS_SHA256 = 0x0809 "rsa_pss_pss_sha256",
    RSA_PSS_PSS_SHA384 = 0x080a "rsa_pss_pss_sha384",
    RSA_PSS_PSS_SHA512 = 0x080b "rsa_pss_pss_sha512",
    ECDSA_BRAINPOOL_P256R1_TLS13_SHA256 = 0x081a "ecdsa_brainpoolP256r1tls13_sha256",
    ECDSA_BRAINPOOL_P384R1_TLS13_SHA384 = 0x081b "ecdsa_brainpoolP384r1tls13_sha384",
    ECDSA_BRAINPOOL_P512R1_TLS13_SHA512 = 0x081c "ecdsa_brainpoolP512r1tls13_sha512",
    GOSTR34102012_256_INTRINSIC = 0x0840 "gostr34102012_256_intrinsic",
    GOSTR34102012_512_INTRINSIC = 0x0841 "gostr34102012_512_intrinsic",
    MLDSA44 = 0x0904 "mldsa44",
    MLDSA65 = 0x0905 "mldsa65",
    MLDSA87 = 0x0906 "mldsa87",
    // Composites of draft-reddy-tls-composite-mldsa; the last two of that draft have numbers that SLH-DSA took.
    MLDSA44_ECDSA_SECP256R1_SHA256 = 0x0907 "mldsa44_ecdsa_secp256r1_sha256",
    MLDSA65_ECDSA_SECP384R1_SHA384 = 0x0908 "mldsa65_ecdsa_secp384r1_sha384",
    MLDSA87_ECDSA_SECP384R1_SHA384 = 0x0909 "mldsa87_ecdsa_secp384r1_sha384",
    MLDSA44_ED25519 = 0x090a "mldsa44_ed25519",
    MLDSA65_ED25519 = 0x090b "mldsa65_ed25519",
    MLDSA44_RSA2048_PKCS1_SHA256 = 0x090c "mldsa44_rsa2048_pkcs1_sha256",
    MLDSA65_RSA3072_PKCS1_SHA256 = 0x090d "mldsa65_rsa3072_pkcs1_sha256",
    MLDSA65_RSA4096_PKCS1_SHA384 = 0x090e "mldsa65_rsa4096_pkcs1_sha384",
    MLDSA44_RSA2048_PSS_PSS_SHA256 = 0x090f "mldsa44_rsa2048_pss_pss_sha256",
    MLDSA65_RSA3072_PSS_PSS_SHA256 = 0x0910 "mldsa65_rsa3072_pss_pss_sha256",
    // draft-reddy-tls-slhdsa.
    SLHDSA_SHA2_128S = 0x0911 "slhdsa_sha2_128s",
    SLHDSA_SHA2_128F = 0x0912 "slhdsa_sha2_128f",
    SLHDSA_SHA2_192S = 0x0913 "slhdsa_sha2_192s",
    SLHDSA_SHA2_192F = 0x0914 "slhdsa_sha2_192f",
    SLHDSA_SHA2_256S = 0x0915 "slhdsa_sha2_256s",
    SLHDSA_SHA2_256F = 0x0916 "slhdsa_sha2_256f",
    SLHDSA_SHAKE_128S = 0x0917 "slhdsa_shake_128s",
    SLHDSA_SHAKE_128F = 0x0918 "slhdsa_shake_128f",
    SLHDSA_SHAKE_192S = 0x0919 "slhdsa_shake_192s",
    SLHDSA_SHAKE_192F = 0x091a "slhdsa_shake_192f",
    SLHDSA_SHAKE_256S = 0x091b "slhdsa_shake_256s",
    SLHDSA_SHAKE_256F = 0x091c "slhdsa_shake_256f",
    GOSTR3410_GOSTR3411 = 0xeded "gostr3410_gostr3411",
    GOSTR34102012_256_GOSTR34112012_256 = 0xeeee "gostr34102012_256_gostr34112012_256",
    GOSTR34102012_512_GOSTR34112012_512 = 0xefef "gostr34102012_512_gostr34112012_512",
}

impl SignatureScheme {
    /// Signed by an RSA key.
    pub const fn is_rsa(self) -> bool {
        matches!(
            self.0,
            0x0101 | 0x0201 | 0x0301 | 0x0401 | 0x0501 | 0x0601 | 0x0420 | 0x0520 | 0x0620 | 0x0804..=0x0806
                | 0x0809..=0x080b
        )
    }

    /// Signed by an ECDSA key (EdDSA and SM2 apart).
    pub const fn is_ecdsa(self) -> bool {
        matches!(self.0, 0x0103 | 0x0203 | 0x0303 | 0x0403 | 0x0503 | 0x0603 | 0x081a..=0x081c)
    }

    /// Over MD5 or SHA-1.
    pub const fn is_weak(self) -> bool {
        matches!(self.0 >> 8, 1 | 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_prints_its_name_or_its_number() {
        assert_eq!(SignatureScheme(0x0401).to_string(), "rsa_pkcs1_sha256");
        assert_eq!(SignatureScheme(0x0708).to_string(), "sm2sig_sm3");
        assert_eq!(SignatureScheme(0x0905).to_string(), "mldsa65");
        assert_eq!(SignatureScheme(0x091c).to_string(), "slhdsa_shake_256f");
        assert_eq!(SignatureScheme(0x0e0e).to_string(), "0x0e0e");
    }

    #[test]
    fn schemes_are_told_apart_by_key() {
        assert!(SignatureScheme::RSA_PSS_RSAE_SHA256.is_rsa());
        assert!(SignatureScheme::ECDSA_SHA1.is_ecdsa() && SignatureScheme::ECDSA_SHA1.is_weak());
        assert!(!SignatureScheme::ED25519.is_rsa() && !SignatureScheme::ED25519.is_ecdsa());
    }
}
