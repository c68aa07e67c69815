//! What a client's alert code says of a defect, over the stacks in use.
//!
//! OpenSSL, rustls and BoringSSL send a specific code for most faults; NSS, Java and Secure
//! Transport for some; Chromium (46), GnuTLS and Go (42) one code for all. So a code fits a fault
//! specifically where few other faults make any stack send it, and generically where some stack
//! sends it for this fault and many others.

use crate::tls::chain::Fault;

/// How well a code fits a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The code is the one for this kind of fault.
    Specific,
    /// Some stack sends it for this fault, and for others.
    Generic,
    /// No stack sends it for this fault.
    No,
}

/// How `code`, an AlertDescription (RFC 9846 section 6.2), fits `fault`.
pub fn fits(fault: Fault, code: u8) -> Fit {
    use Fault::*;
    // 42 bad_certificate and 46 certificate_unknown: some stack sends one of them for every fault.
    if matches!(code, 42 | 46) {
        return Fit::Generic;
    }
    match (fault, code) {
        (LeafExpired | IntermediateExpired | RootExpired | NotYetValid | LifetimeInverted, 45)
        | (MissingIntermediate | UnknownRoot | SelfSigned | DistrustedCa | NotACa | PathTooLong, 48)
        | (EkuLacksServerAuth | EkuLacksClientAuth | KeyUsage, 43)
        | (BadCertificateSignature, 51)
        | (DecodeError, 50) => Fit::Specific,
        // NSS: 48 for an expired issuer; where a path cannot be built, its defects read as 48 too.
        (
            IntermediateExpired | RootExpired | BadCertificateSignature | NameConstraints | WrongOrder
            | UnrelatedExtra | BasicConstraints | NoAki | NoSki,
            48,
        )
        // Chromium, GnuTLS and OpenSSL where the key usage forbids the key exchange.
        | (KeyUsage, 40 | 47 | 80)
        | (DecodeError, 47 | 48 | 51 | 80)
        // JSSE: the certificate's algorithm is disabled (`getCertificateAlert` in CertificateMessage.java).
        | (WeakKey | WeakSignature, 43)
        // OpenSSL where a callback of the program's own rejects, as Perl's for the name (X509_V_ERR_UNSPECIFIED).
        | (SanMismatch | NoSan | IpNotInSan | WildcardDepth, 80)
        | (UnknownCritical, 43) => Fit::Generic,
        _ => Fit::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_expired_means_dates_and_nothing_else() {
        assert_eq!(fits(Fault::LeafExpired, 45), Fit::Specific);
        assert_eq!(fits(Fault::NotYetValid, 45), Fit::Specific, "NSS and rustls say so");
        assert_eq!(fits(Fault::SanMismatch, 45), Fit::No);
        assert_eq!(fits(Fault::UnknownRoot, 45), Fit::No);
    }

    #[test]
    fn certificate_unknown_fits_all_and_tells_nothing() {
        for fault in [Fault::LeafExpired, Fault::UnknownRoot, Fault::SanMismatch, Fault::KeyUsage] {
            assert_eq!(fits(fault, 46), Fit::Generic);
        }
    }

    #[test]
    fn nss_calls_an_expired_issuer_unknown() {
        assert_eq!(fits(Fault::IntermediateExpired, 48), Fit::Generic);
        assert_eq!(fits(Fault::LeafExpired, 48), Fit::No);
    }
}
