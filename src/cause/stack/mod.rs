//! What a client's alert code says of a defect: by the stack that sent it where its hello tells, else over all in use.
//!
//! [`table`] holds what each verifier rejects, in which order and with which code. Tests read it forwards; [`by`] and
//! [`comes_first`] read it backwards.
//!
//! OpenSSL, rustls and BoringSSL send a specific code for most faults; NSS, Java and Secure
//! Transport for some; Chromium (46), GnuTLS and Go (42) one code for all. So a code fits a fault
//! specifically where few other faults make any stack send it, and generically where some stack
//! sends it for this fault and many others.

pub mod table;

#[cfg(test)]
mod tests;

use crate::base::Side;
use crate::evidence::{Ending, Evidence, Transport};
use crate::tls::chain::Fault;
use crate::tls::stack::Stack;
use table::{Form, Order, Verifier};

/// Who rejected: its stack, and whether TLS 1.3 was spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// The stack that the hello tells.
    pub stack: Stack,
    /// TLS 1.3.
    pub tls13: bool,
}

impl Who {
    /// The client's stack, where its hello tells. Who alerts in clear behind TLS 1.3 is none that never does, whatever its
    /// hello looks like.
    pub fn is_client_of(evidence: &Evidence) -> Option<Self> {
        let tls13 = evidence.version().is_some_and(|version| version.is_tls13());
        let in_clear = evidence.transport == Transport::Tcp
            && matches!(evidence.ending.value, Ending::Alert { from: Side::Client, .. })
            && !evidence.ended_by_opened_alert();
        let who = evidence.stack().map(|stack| Self { stack, tls13 });
        who.filter(|who| !(tls13 && in_clear) || who.alerts_in_clear())
    }

    /// What people call its verifier.
    pub fn called(self) -> &'static str {
        self.verifiers().first().map_or("", |verifier| verifier.name)
    }

    /// Whether a client on this stack rejects a server's chain for a defect, where it verifies and nothing else is set;
    /// `None` where a program or a version decides, or the table does not know.
    pub fn rejects(self, fault: Fault) -> Option<bool> {
        // Verifiers look for another path, which may do without these, by roots of their own; what they take for a name in
        // Unicode is not in the table.
        if matches!(
            fault,
            Fault::WrongOrder | Fault::UnrelatedExtra | Fault::RootExpired | Fault::IdnNotALabel
        ) {
            return None;
        }
        let mut answers = self.verifiers().iter().map(|verifier| match verifier.check(fault) {
            Some((_, rule)) => rule.always.then_some(true),
            None => Some(false),
        });
        let first = answers.next()?;
        if answers.all(|answer| answer == first) { first } else { None }
    }

    /// The verifiers that programs on this stack use.
    pub const fn verifiers(self) -> &'static [&'static Verifier] {
        match self.stack {
            Stack::OpenSsl => &[&table::OPENSSL],
            // Other programs on OpenSSL look like curl or Node.js where they ask for the same.
            Stack::Curl => &[&table::CURL, &table::OPENSSL],
            Stack::Node => &[&table::NODE, &table::OPENSSL],
            Stack::Python => &[&table::PYTHON, &table::PYTHON_STRICT],
            Stack::Jsse => &[&table::JSSE],
            Stack::GnuTls => &[&table::GNUTLS, &table::WGET],
            Stack::Chromium => &[&table::CHROMIUM, &table::BORINGSSL],
            Stack::Apple => &[&table::APPLE],
            Stack::Nss => &[&table::NSS, &table::FIREFOX],
            Stack::Go => &[&table::GO],
            Stack::Rustls => &[&table::RUSTLS],
            Stack::SChannel => &[&table::SCHANNEL],
        }
    }

    /// Whether a verifier of this stack alerts in clear behind TLS 1.3 too.
    pub fn alerts_in_clear(self) -> bool {
        self.verifiers().iter().any(|verifier| verifier.form == Form::Clear)
    }

    /// Whether every verifier of this stack rejects a defect whatever its program sets, with this code.
    pub fn always(self, fault: Fault, code: u8) -> bool {
        self.verifiers().iter().all(|verifier| {
            verifier.order == Order::First
                && verifier.check(fault).is_some_and(|(_, rule)| rule.always)
                && verifier.says(fault, Some(code), self.tls13)
        })
    }
}

/// How `code` fits `fault` for a stack: as [`fits`], but not where none of its verifiers says so. Without a code: whether
/// any of them may reject for it.
pub fn by(who: Who, fault: Fault, code: Option<u8>) -> Fit {
    if !who.verifiers().iter().any(|verifier| verifier.says(fault, code, who.tls13)) {
        return Fit::No;
    }
    match code.map(|code| fits(fault, code)) {
        Some(Fit::Specific) => Fit::Specific,
        _ => Fit::Generic,
    }
}

/// Whether every verifier of this stack meets `first` before `second` and stops there.
pub fn comes_first(who: Who, first: Fault, second: Fault) -> bool {
    who.verifiers().iter().all(|verifier| {
        let (one, other) = (verifier.check(first), verifier.check(second));
        verifier.order == Order::First
            && one.is_some_and(|(place, rule)| rule.always && other.is_none_or(|(later, _)| place < later))
    })
}

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
            | UnrelatedExtra | BasicConstraints | NoAki | NoSki | Profile,
            48,
        )
        // Chromium, GnuTLS and OpenSSL where the key usage forbids the key exchange.
        | (KeyUsage, 40 | 47 | 80)
        | (DecodeError, 47 | 48 | 51 | 80)
        // JSSE: the certificate's algorithm is disabled (`getCertificateAlert` in CertificateMessage.java).
        | (WeakKey | WeakSignature, 43)
        // OpenSSL where a callback of the program's own rejects, as Perl's for the name (X509_V_ERR_UNSPECIFIED).
        | (SanMismatch | NoSan | IpNotInSan | WildcardDepth | IdnNotALabel, 80)
        | (UnknownCritical, 43)
        // NSS: an authority marked as not trusted.
        | (DistrustedCa, 49) => Fit::Generic,
        _ => Fit::No,
    }
}
