//! TLCP's two certificates.

use super::*;

fn with_usage(bits: u8) -> Forge {
    named(HOST, bits)
}

/// A leaf of this keyUsage: one byte of bits, the first of which is digitalSignature.
fn named(host: &str, bits: u8) -> Forge {
    let unused = bits.trailing_zeros() as u8;
    Forge::leaf(host, "Sub").without(&USAGE).with(&USAGE, true, &der(tag::BIT_STRING, &[unused, bits]))
}

const SIGNS: u8 = 0x80;
const ENCIPHERS: u8 = 0x38;

/// Certificates of this usage and validity for signatures and for encipherment.
fn pair(w: &World, signing: Forge, encryption: Forge) -> [Arc<Certificate>; 2] {
    [signing.sign(&w.leaf_key, &w.sub_key), encryption.sign(&Key::new(), &w.sub_key)]
}

fn ask(w: &World, presented: &[&Arc<Certificate>]) -> Vec<Defect> {
    w.ask(presented, |question| question.uses = KeyUse::Pair)
}

#[test]
fn a_sound_pair_has_no_defect_and_its_second_is_no_extra() {
    let w = World::new();
    let [signing, encryption] = pair(&w, with_usage(SIGNS), with_usage(ENCIPHERS));
    assert_eq!(ask(&w, &[&signing, &encryption, &w.sub]), []);
    let other = named("other.example.com", ENCIPHERS).sign(&Key::new(), &w.sub_key);
    assert_eq!(faults(&ask(&w, &[&signing, &other, &w.sub])), [(Fault::SanMismatch, Some(1))]);
}

#[test]
fn an_expired_half_is_told_by_what_it_is_for() {
    let w = World::new();
    let old = |bits| with_usage(bits).dated(year(2020), year(2021));
    for (certs, place, role) in [
        (pair(&w, old(SIGNS), with_usage(ENCIPHERS)), 0, "the signing certificate "),
        (pair(&w, with_usage(SIGNS), old(ENCIPHERS)), 1, "the encryption certificate "),
        (pair(&w, old(SIGNS), old(ENCIPHERS)), 0, "the signing certificate "),
    ] {
        let defects = ask(&w, &[&certs[0], &certs[1], &w.sub]);
        assert_eq!(faults(&defects), [(Fault::LeafExpired, Some(place))]);
        assert!(defects[0].says.starts_with(role), "{}", defects[0].says);
    }
}

#[test]
fn halves_in_each_others_place_are_told() {
    let w = World::new();
    let [signing, encryption] = pair(&w, with_usage(ENCIPHERS), with_usage(SIGNS));
    let defects = ask(&w, &[&signing, &encryption, &w.sub]);
    assert_eq!(faults(&defects), [(Fault::KeyUsage, Some(0))]);
    assert!(defects[0].says.contains("digitalSignature"), "{}", defects[0].says);
}

#[test]
fn a_single_certificate_lacks_the_other() {
    let w = World::new();
    let [signing, _] = pair(&w, with_usage(SIGNS), with_usage(ENCIPHERS));
    let defects = ask(&w, &[&signing, &w.sub]);
    assert_eq!(faults(&defects), [(Fault::KeyUsage, Some(0))]);
    assert!(defects[0].says.contains("no encryption certificate"), "{}", defects[0].says);
    let client = w.ask(&[&signing, &w.sub], |question| {
        (question.uses, question.client, question.host) = (KeyUse::Pair, true, None);
    });
    assert!(!faults(&client).iter().any(|(fault, _)| *fault == Fault::KeyUsage), "a client may only sign");
}

#[test]
fn a_fault_above_both_is_said_once_at_its_place() {
    let w = World::new();
    let [signing, encryption] = pair(&w, with_usage(SIGNS), with_usage(ENCIPHERS));
    let sub = Forge::ca("Sub", "Root").dated(year(2020), year(2021)).sign(&w.sub_key, &w.root_key);
    assert_eq!(faults(&ask(&w, &[&signing, &encryption, &sub])), [(Fault::IntermediateExpired, Some(2))]);
}
