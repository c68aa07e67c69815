//! Where each kind of defect belongs, and which of several defects a rejection is about.

use super::stack::{Fit, Who, by, comes_first, fits};
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
        Fault::IdnNotALabel => (NameMismatch, "idn_not_a_label"),
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
        | Fault::NoSan
        | Fault::IdnNotALabel => Weight::Soft,
        Fault::UnknownRoot | Fault::SelfSigned | Fault::MissingIntermediate => Weight::Anchor,
        _ => Weight::Hard,
    }
}

/// The defect of `cause` that a rejection is about, and how sure that is. `code` is the alert's,
/// `None` where the rejection had no readable alert. Nothing where `cause` has no defect that fits.
pub fn blamed(defects: &[Defect], code: Option<u8>, cause: Cause) -> Option<(&Defect, Certainty)> {
    blamed_by(None, defects, code, cause)
}

/// As [`blamed`], by a stack that is known: what it never minds or never says of a defect does not count, unless that
/// leaves nothing (then the program has rules of its own); what it checks first goes before what it checks later.
pub fn blamed_by(
    who: Option<Who>,
    defects: &[Defect],
    code: Option<u8>,
    cause: Cause,
) -> Option<(&Defect, Certainty)> {
    let minded = |who: &Who| {
        defects
            .iter()
            .any(|defect| weight(defect.fault) > Weight::Mild && by(*who, defect.fault, code) != Fit::No)
    };
    let who = who.filter(minded);
    let fit = |defect: &Defect| match (who, code) {
        (Some(who), code) => by(who, defect.fault, code),
        (None, Some(code)) => fits(defect.fault, code),
        (None, None) => Fit::Generic,
    };
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
    let specific = |defect: &Defect| weight(defect.fault) > Weight::Mild && fit(defect) == Fit::Specific;
    let certainty = match (specific(mine), others_have(&specific)) {
        (true, false) => Certainty::Proven,
        (true, true) => Certainty::Suspected,
        // The code speaks of something else that is there.
        (false, true) => return None,
        (false, false) => {
            let rival = others().map(|defect| weight(defect.fault)).max().unwrap_or(Weight::Mild);
            let roots_only = others()
                .filter(|defect| weight(defect.fault) >= Weight::Anchor)
                .all(|defect| defect.fault == Fault::UnknownRoot);
            let sure = who.filter(|who| who.stack.is_sure());
            let first = sure.is_some_and(|who| {
                let mut hard = others().filter(|defect| {
                    weight(defect.fault) >= Weight::Anchor && defect.fault != Fault::UnknownRoot
                });
                hard.all(|defect| comes_first(who, mine.fault, defect.fault))
            });
            let alone = sure.zip(code).is_some_and(|(who, code)| who.always(mine.fault, code));
            match heavy {
                // Its stack always rejects this, with this code, and nothing else that is there.
                Weight::Hard if alone && rival == Weight::Mild => Certainty::Proven,
                Weight::Hard if rival < Weight::Anchor || roots_only || first => Certainty::Inferred,
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
    defects.iter().any(|defect| weight(defect.fault) > Weight::Mild && fits(defect.fault, code) != Fit::No)
}

/// Whether a defect is there that every verifier rejects.
pub fn has_hard(defects: &[Defect]) -> bool {
    defects.iter().any(|defect| weight(defect.fault) == Weight::Hard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::stack::Stack;

    fn defects(faults: &[Fault]) -> Vec<Defect> {
        faults.iter().map(|&fault| Defect { fault, cert: Some(0), says: format!("{fault:?}") }).collect()
    }

    fn verdict(faults: &[Fault], code: u8, cause: Cause) -> Option<Certainty> {
        blamed(&defects(faults), Some(code), cause).map(|(_, certainty)| certainty)
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

    fn by_stack(stack: Stack, faults: &[Fault], code: u8, cause: Cause) -> Option<Certainty> {
        let who = Some(Who { stack, tls13: false });
        blamed_by(who, &defects(faults), Some(code), cause).map(|(_, certainty)| certainty)
    }

    #[test]
    fn a_known_stack_that_always_rejects_so_proves_the_one_defect_there_is() {
        let go = |faults: &[Fault], cause| by_stack(Stack::Go, faults, 42, cause);
        assert_eq!(go(&[Fault::LeafExpired], Cause::ExpiredCert), Some(Certainty::Proven));
        assert_eq!(
            go(&[Fault::LeafExpired, Fault::UnknownRoot], Cause::ExpiredCert),
            Some(Certainty::Inferred)
        );
        let chromium = by_stack(Stack::Chromium, &[Fault::LeafExpired], 46, Cause::ExpiredCert);
        assert_eq!(chromium, Some(Certainty::Inferred), "its hello is imitated");
        let s_client = by_stack(Stack::OpenSsl, &[Fault::SanMismatch], 42, Cause::NameMismatch);
        assert_eq!(s_client, Some(Certainty::Inferred), "its program may not look at names");
    }

    #[test]
    fn of_two_defects_a_known_stack_names_the_one_it_checks_first() {
        let both = [Fault::SanMismatch, Fault::LeafExpired];
        assert_eq!(by_stack(Stack::Go, &both, 42, Cause::ExpiredCert), Some(Certainty::Inferred));
        assert_eq!(by_stack(Stack::Go, &both, 42, Cause::NameMismatch), Some(Certainty::Suspected));
        assert_eq!(by_stack(Stack::OpenSsl, &both, 42, Cause::NameMismatch), Some(Certainty::Inferred));
        assert_eq!(by_stack(Stack::OpenSsl, &both, 42, Cause::ExpiredCert), None, "that would be 45");
    }

    #[test]
    fn a_code_that_the_stack_never_sends_is_read_over_all_stacks() {
        let own_rules = by_stack(Stack::Go, &[Fault::LeafExpired], 45, Cause::ExpiredCert);
        assert_eq!(own_rules, Some(Certainty::Proven));
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
            IdnNotALabel,
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
