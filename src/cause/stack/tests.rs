//! The table against what was measured, and read backwards.

use super::table::{Form, Order, Verifier};
use super::*;
use crate::tls::chain::Fault;

fn of_row(row: &str) -> Option<Fault> {
    Some(match row {
        "expired" => Fault::LeafExpired,
        "notyet" => Fault::NotYetValid,
        "wronghost" => Fault::SanMismatch,
        "nointer" => Fault::MissingIntermediate,
        "roguechain" | "unkca" => Fault::UnknownRoot,
        "selfsigned" => Fault::SelfSigned,
        "noca_inter" => Fault::NotACa,
        "exp_inter" => Fault::IntermediateExpired,
        "nosan" => Fault::NoSan,
        "ekuclient" => Fault::EkuLacksServerAuth,
        "ku_bad" => Fault::KeyUsage,
        "crit" => Fault::UnknownCritical,
        "badsig" | "badsig2" => Fault::BadCertificateSignature,
        "rsa1024" => Fault::WeakKey,
        "toolong" => Fault::LifetimeTooLong,
        // Sound, or no defect of the chain.
        "ok" | "noeku" | "revoked" => return None,
        other => panic!("{other}"),
    })
}

/// Whether a cell (`45p`, `46e35`, `none:FIN`, `ok`) is what a verifier does.
fn agrees(verifier: &Verifier, fault: Fault, tls13: bool, cell: &str) -> bool {
    let rule = verifier.check(fault).map(|(_, rule)| rule);
    if cell == "ok" {
        return rule.is_none_or(|rule| !rule.always);
    }
    let Some(rule) = rule else { return false };
    if cell.starts_with("none:") {
        return rule.codes(tls13).is_empty();
    }
    let digits = cell.find(|c: char| !c.is_ascii_digit()).unwrap();
    let code: u8 = cell[..digits].parse().unwrap();
    let form = match &cell[digits..] {
        "p" => !tls13 || verifier.form == Form::Clear,
        // NSS sends its alert behind Finished up to TLS 1.2, sealed.
        "e26" => !tls13,
        sealed => verifier.form == Form::Sealed(sealed[1..].parse().unwrap()),
    };
    rule.codes(tls13).contains(&code) && form
}

/// Cells that differ, each with its reason: fault, version.
///
/// - A key that may not sign: the server itself refuses the suites of TLS 1.2 (40), so no client judged.
const EXCEPTIONS: [(&str, &str); 1] = [("ku_bad", "12")];

#[test]
fn every_cell_that_was_measured_is_what_the_table_says() {
    let text = include_str!("../../../tests/data/alert_matrix.csv");
    let mut lines = text.lines();
    let clients: Vec<_> = lines.next().unwrap().split(',').skip(2).collect();
    let mut wrong = Vec::new();
    for line in lines {
        let cells: Vec<_> = line.split(',').collect();
        let (row, version) = (cells[0], cells[1]);
        let Some(fault) = of_row(row) else { continue };
        for (client, cell) in clients.iter().zip(&cells[2..]) {
            if *cell == "-" || EXCEPTIONS.contains(&(row, version)) {
                continue;
            }
            let verifier = match *client {
                "openssl" => &table::OPENSSL,
                "curl" => &table::CURL,
                "python" => &table::PYTHON,
                "java" => &table::JSSE,
                "nss" => &table::NSS,
                "chromium" => &table::CHROMIUM,
                "gnutls" => &table::GNUTLS,
                "wget" => &table::WGET,
                "node" => &table::NODE,
                other => panic!("{other}"),
            };
            if !agrees(verifier, fault, version == "13", cell) {
                wrong.push(format!("{row} {version} {client} {cell}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_verifier_names_each_defect_once() {
    use Stack::*;
    let stacks = [OpenSsl, Curl, Node, Python, Jsse, GnuTls, Chromium, Apple, Nss, Go, Rustls, SChannel];
    for verifier in stacks.iter().flat_map(|&stack| Who { stack, tls13: true }.verifiers()) {
        let mut seen = Vec::new();
        for fault in verifier.rules.iter().flat_map(|rule| rule.faults) {
            assert!(!seen.contains(fault), "{} {fault:?}", verifier.name);
            seen.push(*fault);
        }
    }
}

#[test]
fn of_two_defects_only_the_first_that_is_checked_comes_first() {
    use Stack::*;
    for stack in [OpenSsl, Curl, Python, Node, Jsse, Nss, Go] {
        let who = Who { stack, tls13: false };
        let faults =
            || who.verifiers().iter().flat_map(|verifier| verifier.rules).flat_map(|rule| rule.faults);
        for first in faults() {
            for second in faults() {
                let both = comes_first(who, *first, *second) && comes_first(who, *second, *first);
                assert!(!both, "{stack:?} {first:?} {second:?}");
            }
        }
    }
    let who = |stack| Who { stack, tls13: false };
    assert!(comes_first(who(Go), Fault::LeafExpired, Fault::SanMismatch));
    assert!(!comes_first(who(Go), Fault::SanMismatch, Fault::LeafExpired));
    assert!(
        !comes_first(who(OpenSsl), Fault::SanMismatch, Fault::NotYetValid),
        "names are the program's choice"
    );
    assert!(!comes_first(who(GnuTls), Fault::LeafExpired, Fault::SanMismatch), "all are gathered");
}

#[test]
fn a_defect_that_a_stack_never_minds_is_not_its_reason() {
    let openssl = Who { stack: Stack::OpenSsl, tls13: false };
    assert_eq!(by(openssl, Fault::LifetimeTooLong, Some(42)), Fit::No);
    assert_eq!(by(Who { stack: Stack::Go, tls13: false }, Fault::NoAki, Some(42)), Fit::No);
    assert_eq!(by(Who { stack: Stack::Go, tls13: false }, Fault::LeafExpired, Some(45)), Fit::No);
}

#[test]
fn a_client_rejects_what_all_verifiers_of_its_stack_check_with_nothing_set() {
    let rejects = |stack, fault| Who { stack, tls13: false }.rejects(fault);
    assert_eq!(rejects(Stack::OpenSsl, Fault::LeafExpired), Some(true));
    assert_eq!(rejects(Stack::OpenSsl, Fault::LifetimeTooLong), Some(false));
    assert_eq!(rejects(Stack::OpenSsl, Fault::SanMismatch), None, "the program's choice");
    assert_eq!(rejects(Stack::GnuTls, Fault::KeyUsage), None, "GnuTLS does, wget does not look");
    assert_eq!(rejects(Stack::Python, Fault::NoAki), None, "strict since 3.13");
    assert_eq!(rejects(Stack::OpenSsl, Fault::MissingIntermediate), Some(true));
    assert_eq!(rejects(Stack::Chromium, Fault::MissingIntermediate), None, "it fetches");
    assert_eq!(rejects(Stack::SChannel, Fault::LeafExpired), Some(true));
    assert_eq!(rejects(Stack::SChannel, Fault::KeyUsage), None, "nobody measured it");
    assert_eq!(rejects(Stack::Go, Fault::RootExpired), None, "there may be another path");
}

#[test]
fn a_row_that_nobody_measured_proves_nothing() {
    let schannel = Who { stack: Stack::SChannel, tls13: false };
    assert!(!schannel.always(Fault::LeafExpired, 45));
    assert_eq!(by(schannel, Fault::LeafExpired, Some(45)), Fit::Specific);
    assert_eq!(by(schannel, Fault::LeafExpired, Some(48)), Fit::No);
}

#[test]
fn bad_certificate_in_clear_by_openssl_means_a_name_dates_to_come_or_weak_keys() {
    use crate::cause::{Cause, faults::placed};
    let mut causes: Vec<_> = table::OPENSSL
        .rules
        .iter()
        .filter(|rule| rule.tls13.contains(&42))
        .flat_map(|rule| rule.faults)
        .map(|fault| placed(*fault).0)
        .collect();
    causes.sort_unstable();
    causes.dedup();
    assert_eq!(causes, [Cause::ValidityMisconfig, Cause::NameMismatch, Cause::DamagedKey]);
    assert_eq!(table::OPENSSL.order, Order::First);
}

mod over_all {

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
