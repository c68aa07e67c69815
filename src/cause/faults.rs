//! Where each kind of defect belongs, and which of several defects a rejection is about.

use super::stack::{Fit, Judge, before, fits};
use super::{Cause, Certainty};
use crate::tls::chain::{Defect, Fault};

/// The cause and the reason of a defect in a server's chain: the only place that says so.
pub fn placed(fault: Fault) -> (Cause, &'static str) {
    use Cause::{BrokenChain, DamagedKey, ExpiredCert, MissingExtension, NameMismatch, ValidityMisconfig};
    match fault {
        Fault::LeafExpired => (ExpiredCert, "leaf_expired"),
        Fault::IntermediateExpired => (ExpiredCert, "intermediate_expired"),
        Fault::RootExpired => (ExpiredCert, "root_expired"),
        Fault::NotYetValid => (ValidityMisconfig, "not_yet_valid"),
        Fault::LifetimeInverted => (ValidityMisconfig, "lifetime_inverted"),
        Fault::LifetimeTooLong | Fault::LifetimePrivate => (ValidityMisconfig, "lifetime_too_long"),
        Fault::MissingIntermediate => (BrokenChain, "missing_intermediate"),
        Fault::UnknownRoot => (BrokenChain, "unknown_root"),
        Fault::SelfSigned => (BrokenChain, "self_signed"),
        Fault::WrongOrder => (BrokenChain, "wrong_order"),
        Fault::UnrelatedExtra => (BrokenChain, "unrelated_extra"),
        Fault::DistrustedCa => (BrokenChain, "distrusted_ca"),
        Fault::NotACa => (BrokenChain, "not_a_ca"),
        Fault::PathTooLong => (BrokenChain, "path_too_long"),
        Fault::SanMismatch => (NameMismatch, "san_mismatch"),
        Fault::NoSan => (NameMismatch, "no_san"),
        Fault::IpNotInSan => (NameMismatch, "ip_not_in_san"),
        Fault::WildcardDepth => (NameMismatch, "wildcard_depth"),
        Fault::BadCertificateSignature => (DamagedKey, "bad_certificate_signature"),
        Fault::WeakKey | Fault::WeakSignature => (DamagedKey, "weak_key"),
        Fault::DecodeError => (DamagedKey, "decode_error"),
        Fault::EkuLacksServerAuth => (MissingExtension, "eku_lacks_server_auth"),
        Fault::EkuLacksClientAuth => (MissingExtension, "eku_lacks_client_auth"),
        Fault::KeyUsage => (MissingExtension, "key_usage"),
        Fault::NoAki => (MissingExtension, "no_aki"),
        Fault::NoSki => (MissingExtension, "no_ski"),
        Fault::BasicConstraints => (MissingExtension, "basic_constraints"),
        Fault::NameConstraints => (MissingExtension, "name_constraints"),
        Fault::UnknownCritical => (MissingExtension, "unknown_critical"),
        Fault::Profile => (MissingExtension, "profile_violation"),
    }
}

/// As [`placed`], for a client's chain: expiry and trust have reasons of their own.
pub fn placed_of_client(fault: Fault) -> (Cause, &'static str) {
    match placed(fault) {
        (Cause::ExpiredCert, _) => (Cause::ExpiredCert, "client_cert_expired"),
        (Cause::BrokenChain, _) => (Cause::BrokenChain, "client_chain"),
        other => other,
    }
}

/// How surely verifiers reject a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Strict ones only.
    Mild,
    /// Some do: sizes of keys, old hashes, lifetimes, names in the subject only.
    Soft,
    /// All do that have not been given this root: it may be installed.
    Anchor,
    /// All that verify at all.
    Hard,
}

fn weight(fault: Fault) -> Weight {
    match fault {
        _ if fault.is_mild() => Weight::Mild,
        Fault::LifetimeTooLong
        | Fault::WeakKey
        | Fault::WeakSignature
        | Fault::RootExpired
        | Fault::NoSan => Weight::Soft,
        Fault::UnknownRoot | Fault::SelfSigned | Fault::MissingIntermediate => Weight::Anchor,
        _ => Weight::Hard,
    }
}

/// The defect of `cause` that a rejection is about, and how sure that is. `code` is the alert's,
/// `None` where the rejection had no readable alert. Nothing where `cause` has no defect that fits.
pub fn blamed(
    defects: &[Defect],
    code: Option<u8>,
    cause: Cause,
    judge: Judge,
) -> Option<(&Defect, Certainty)> {
    // A program may judge by itself, or its stack be taken for another: then any stack may have sent the code.
    let by_stack = defects
        .iter()
        .any(|defect| weight(defect.fault) > Weight::Mild && fits(judge, defect.fault, code) != Fit::No);
    let judge = if by_stack { judge } else { Judge::default() };
    let fit = |defect: &Defect| fits(judge, defect.fault, code);
    let of = |defect: &Defect| placed(defect.fault).0;
    // `max_by_key` takes the last of equals: from the end, so that the leaf's comes first.
    let mine =
        defects.iter().rev().filter(|defect| of(defect) == cause && fit(defect) != Fit::No).max_by_key(
            |defect| {
                (weight(defect.fault) > Weight::Mild && fit(defect) == Fit::Specific, weight(defect.fault))
            },
        )?;
    let heavy = weight(mine.fault);
    let others = || defects.iter().filter(|defect| of(defect) != cause && fit(defect) != Fit::No);
    let others_have = |found: &dyn Fn(&Defect) -> bool| others().any(found);
    // What the stack comes to first is what it rejected, and it never came to the others.
    let comes_first = |of: &dyn Fn(&Defect) -> bool| {
        others().filter(|other| of(other)).all(|other| before(judge, mine.fault, other.fault))
    };
    let specific = |defect: &Defect| weight(defect.fault) > Weight::Mild && fit(defect) == Fit::Specific;
    let certainty = match (specific(mine), others_have(&specific)) {
        (true, false) => Certainty::Proven,
        (true, true) if comes_first(&|other| specific(other)) => Certainty::Inferred,
        (true, true) => Certainty::Suspected,
        // The code speaks of something else that is there.
        (false, true) => return None,
        (false, false) => {
            let behind = |defect: &&Defect| !before(judge, mine.fault, defect.fault);
            let rival =
                others().filter(behind).map(|defect| weight(defect.fault)).max().unwrap_or(Weight::Mild);
            let roots_only = others()
                .filter(|defect| weight(defect.fault) >= Weight::Anchor)
                .all(|defect| defect.fault == Fault::UnknownRoot);
            match heavy {
                Weight::Hard if rival < Weight::Anchor || roots_only => Certainty::Inferred,
                Weight::Anchor | Weight::Soft
                    if rival == Weight::Mild && mine.fault != Fault::LifetimeTooLong =>
                {
                    Certainty::Inferred
                }
                Weight::Mild if rival > Weight::Mild => return None,
                _ => Certainty::Suspected,
            }
        }
    };
    Some((mine, certainty))
}

/// Whether any defect that a verifier minds fits the code.
pub fn explained(defects: &[Defect], code: u8) -> bool {
    let fits = |fault| fits(Judge::default(), fault, Some(code)) != Fit::No;
    defects.iter().any(|defect| weight(defect.fault) > Weight::Mild && fits(defect.fault))
}

/// Whether a defect is there that every verifier rejects.
pub fn has_hard(defects: &[Defect]) -> bool {
    defects.iter().any(|defect| weight(defect.fault) == Weight::Hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defects(faults: &[Fault]) -> Vec<Defect> {
        faults.iter().map(|&fault| Defect { fault, cert: Some(0), says: format!("{fault:?}") }).collect()
    }

    fn verdict(faults: &[Fault], code: u8, cause: Cause) -> Option<Certainty> {
        blamed(&defects(faults), Some(code), cause, Judge::default()).map(|(_, certainty)| certainty)
    }

    #[test]
    fn the_alert_decides_between_two_defects() {
        let both = [Fault::LeafExpired, Fault::SanMismatch];
        assert_eq!(verdict(&both, 45, Cause::ExpiredCert), Some(Certainty::Proven));
        assert_eq!(verdict(&both, 45, Cause::NameMismatch), None);
        assert_eq!(verdict(&both, 42, Cause::ExpiredCert), Some(Certainty::Suspected));
        assert_eq!(verdict(&both, 42, Cause::NameMismatch), Some(Certainty::Suspected));
    }

    #[test]
    fn a_private_root_does_not_compete_with_a_hard_defect() {
        let both = [Fault::LeafExpired, Fault::UnknownRoot];
        assert_eq!(verdict(&both, 46, Cause::ExpiredCert), Some(Certainty::Inferred));
        assert_eq!(verdict(&both, 46, Cause::BrokenChain), Some(Certainty::Suspected));
        assert_eq!(verdict(&both, 48, Cause::BrokenChain), Some(Certainty::Proven));
    }

    #[test]
    fn mild_defects_are_blamed_only_when_nothing_else_is_there() {
        assert_eq!(verdict(&[Fault::NoAki], 46, Cause::MissingExtension), Some(Certainty::Suspected));
        assert_eq!(verdict(&[Fault::NoAki, Fault::SelfSigned], 46, Cause::MissingExtension), None);
        assert_eq!(
            verdict(&[Fault::NoAki, Fault::SelfSigned], 46, Cause::BrokenChain),
            Some(Certainty::Inferred)
        );
    }

    #[test]
    fn every_fault_has_a_reason_that_its_cause_lists() {
        use Fault::*;
        let all = [
            LeafExpired,
            IntermediateExpired,
            RootExpired,
            NotYetValid,
            LifetimeInverted,
            LifetimeTooLong,
            MissingIntermediate,
            UnknownRoot,
            SelfSigned,
            WrongOrder,
            UnrelatedExtra,
            DistrustedCa,
            NotACa,
            PathTooLong,
            SanMismatch,
            NoSan,
            IpNotInSan,
            WildcardDepth,
            BadCertificateSignature,
            WeakKey,
            WeakSignature,
            DecodeError,
            EkuLacksServerAuth,
            EkuLacksClientAuth,
            KeyUsage,
            NoAki,
            NoSki,
            BasicConstraints,
            NameConstraints,
            UnknownCritical,
            Profile,
            LifetimePrivate,
        ];
        for fault in all {
            for (cause, word) in [placed(fault), placed_of_client(fault)] {
                assert!(cause.reasons().iter().any(|reason| reason.word == word), "{fault:?} {word}");
            }
        }
    }
}
