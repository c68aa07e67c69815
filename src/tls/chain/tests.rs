//! One fault at a time, and the near miss beside it.

mod pair;

use super::*;
use crate::base::Span;
use crate::tls::cert::forge::{Forge, Key, der, name, seq, year};
use crate::tls::der::{Der, tag};
use crate::tls::signature::Verdict;
use crate::tls::trust::Trust;

const EKU: [u8; 3] = [0x55, 0x1d, 37];
const BASIC: [u8; 3] = [0x55, 0x1d, 19];
const USAGE: [u8; 3] = [0x55, 0x1d, 15];

/// A root, an intermediate and a leaf for `www.example.com`, all sound at [`NOW`].
struct World {
    root_key: Key,
    sub_key: Key,
    leaf_key: Key,
    root: Arc<Certificate>,
    sub: Arc<Certificate>,
    leaf: Arc<Certificate>,
    trust: Trust,
}

const HOST: &str = "www.example.com";

fn now() -> Stamp {
    year(2025)
}

impl World {
    fn new() -> Self {
        let (root_key, sub_key, leaf_key) = (Key::new(), Key::new(), Key::new());
        let root = Forge::ca("Root", "Root").dated(year(2010), year(2040)).sign(&root_key, &root_key);
        let sub = Forge::ca("Sub", "Root").sign(&sub_key, &root_key);
        let leaf = Forge::leaf(HOST, "Sub").sign(&leaf_key, &sub_key);
        let mut trust = Trust::empty("test");
        trust.add(&root.der);
        Self { root_key, sub_key, leaf_key, root, sub, leaf, trust }
    }

    fn leaf(&self, forge: Forge) -> Arc<Certificate> {
        forge.sign(&self.leaf_key, &self.sub_key)
    }

    fn assess(&self, presented: &[&Arc<Certificate>]) -> Vec<Defect> {
        self.at(presented, now())
    }

    fn at(&self, presented: &[&Arc<Certificate>], at: Stamp) -> Vec<Defect> {
        self.ask(presented, |question| question.at = at)
    }

    fn ask(&self, presented: &[&Arc<Certificate>], change: impl FnOnce(&mut Question<'_>)) -> Vec<Defect> {
        self.ask_knowing(presented, &[], change)
    }

    fn ask_knowing(
        &self,
        presented: &[&Arc<Certificate>],
        known: &[Arc<Certificate>],
        change: impl FnOnce(&mut Question<'_>),
    ) -> Vec<Defect> {
        let presented: Vec<_> = presented.iter().map(|&cert| cert.clone()).collect();
        let mut question = Question {
            presented: &presented,
            at: now(),
            host: Some(HOST),
            server_ip: None,
            client: false,
            uses: KeyUse::Unknown,
        };
        change(&mut question);
        let mut pool = pool(known);
        let defects = assess(&question, &self.trust, &mut pool);
        let mut cache = ChainCache::new(8);
        for _ in 0..2 {
            assert_eq!(*assess_cached(&question, &self.trust, &mut pool, &mut cache), *defects);
        }
        // Signatures that were verified ahead change nothing.
        verify_ahead(&presented, &self.trust, &Verified::default());
        assert_eq!(assess(&question, &self.trust, &mut pool), defects);
        defects
    }
}

/// Authorities that were presented earlier.
fn pool(known: &[Arc<Certificate>]) -> Pool {
    let mut pool = Pool::default();
    pool.learn(&known.iter().take(1).chain(known).cloned().collect::<Vec<_>>());
    pool
}

fn faults(defects: &[Defect]) -> Vec<(Fault, Option<usize>)> {
    defects.iter().map(|defect| (defect.fault, defect.cert)).collect()
}

#[test]
fn a_sound_chain_has_no_defect() {
    let w = World::new();
    assert_eq!(w.leaf.damage, None);
    assert_eq!(w.assess(&[&w.leaf, &w.sub]), []);
    assert_eq!(w.assess(&[&w.leaf, &w.sub, &w.root]), []);
}

#[test]
fn the_last_valid_second_is_valid() {
    let w = World::new();
    let end = w.leaf.not_after;
    assert_eq!(w.at(&[&w.leaf, &w.sub], end + Span(999_999)), []);
    let late = w.at(&[&w.leaf, &w.sub], end + Span::from_secs(1));
    assert_eq!(faults(&late), [(Fault::LeafExpired, Some(0)), (Fault::IntermediateExpired, Some(1))]);
    assert!(late[0].says.contains("notAfter 2026-01-01T00:00:00"), "{}", late[0].says);
}

#[test]
fn the_first_valid_second_is_valid() {
    let w = World::new();
    let begin = w.leaf.not_before;
    assert_eq!(w.at(&[&w.leaf, &w.sub], begin), []);
    let early = w.at(&[&w.leaf, &w.sub], begin - Span(1));
    assert_eq!(faults(&early), [(Fault::NotYetValid, Some(0)), (Fault::NotYetValid, Some(1))]);
}

#[test]
fn an_expired_root_is_told() {
    let w = World::new();
    let sub = Forge::ca("Sub", "Root").dated(year(2024), year(2050)).sign(&w.sub_key, &w.root_key);
    let leaf = w.leaf(Forge::leaf(HOST, "Sub").dated(year(2024), year(2050)));
    let late = w.at(&[&leaf, &sub], year(2045));
    assert_eq!(faults(&late), [(Fault::LifetimePrivate, Some(0)), (Fault::RootExpired, None)]);
}

#[test]
fn dates_the_wrong_way_round_are_told() {
    let w = World::new();
    let leaf = w.leaf(Forge::leaf(HOST, "Sub").dated(year(2026), year(2024)));
    assert_eq!(faults(&w.assess(&[&leaf, &w.sub])), [(Fault::LifetimeInverted, Some(0))]);
}

#[test]
fn a_missing_intermediate_is_told_whether_or_not_a_known_one_completes_the_path() {
    let w = World::new();
    assert_eq!(faults(&w.assess(&[&w.leaf])), [(Fault::MissingIntermediate, Some(0))]);
    let known = [w.sub.clone()];
    let completed = w.ask_knowing(&[&w.leaf], &known, |_| ());
    assert_eq!(faults(&completed), [(Fault::MissingIntermediate, Some(0))]);
    assert!(completed[0].says.contains("completes the path"), "{}", completed[0].says);
}

#[test]
fn what_others_present_under_an_issuers_name_changes_nothing() {
    let w = World::new();
    let foreign = Key::new();
    let twin = Forge::ca("Sub", "Root").sign(&foreign, &foreign);
    let bare = Forge::bare("Sub", "Root").sign(&foreign, &foreign);
    let alone = w.assess(&[&w.leaf]);
    for known in [vec![twin.clone()], vec![bare], vec![twin, w.sub.clone()]] {
        let told = w.ask_knowing(&[&w.leaf], &known, |_| ());
        assert_eq!(faults(&told), [(Fault::MissingIntermediate, Some(0))], "{told:?}");
        assert!(known.contains(&w.sub) || told == alone, "{told:?}");
    }
}

#[test]
fn an_unknown_root_is_told_from_a_self_signed_leaf() {
    let mut w = World::new();
    w.trust = Trust::empty("none");
    let with_root = w.assess(&[&w.leaf, &w.sub, &w.root]);
    assert_eq!(faults(&with_root), [(Fault::UnknownRoot, Some(2))]);
    // Its issuer calls itself a root.
    assert_eq!(faults(&w.assess(&[&w.leaf, &w.sub])), [(Fault::UnknownRoot, Some(1))]);
    let own = Forge::leaf(HOST, HOST).sign(&w.leaf_key, &w.leaf_key);
    assert!(own.is_self_signed());
    assert_eq!(faults(&w.assess(&[&own])), [(Fault::SelfSigned, Some(0))]);
}

#[test]
fn a_leaf_that_bears_its_issuers_name_is_not_self_signed() {
    let w = World::new();
    let leaf = Forge::leaf(HOST, HOST).sign(&w.leaf_key, &w.root_key);
    assert!(leaf.is_self_issued() && !leaf.is_self_signed());
    assert_eq!(faults(&w.assess(&[&leaf])), [(Fault::UnknownRoot, Some(0))]);
    // With that CA trusted, all is well.
    let ca = Forge::ca(HOST, HOST).sign(&w.root_key, &w.root_key);
    let mut w = w;
    w.trust.add(&ca.der);
    assert_eq!(w.assess(&[&leaf]), []);
}

#[test]
fn a_trusted_self_signed_leaf_has_no_defect() {
    let mut w = World::new();
    let own = Forge::leaf(HOST, HOST).sign(&w.leaf_key, &w.leaf_key);
    w.trust.add(&own.der);
    assert_eq!(w.assess(&[&own]), []);
}

#[test]
fn wrong_order_and_extras_are_told_and_mild() {
    let w = World::new();
    let other = Forge::ca("Other", "Elsewhere").sign(&w.sub_key, &w.root_key);
    let low_key = Key::new();
    let low = Forge::ca("Low", "Sub").sign(&low_key, &w.sub_key);
    let leaf = Forge::leaf(HOST, "Low").sign(&w.leaf_key, &low_key);
    assert_eq!(w.assess(&[&leaf, &low, &w.sub]), []);
    let swapped = w.assess(&[&leaf, &w.sub, &low]);
    assert_eq!(faults(&swapped), [(Fault::WrongOrder, Some(1))]);
    let extra = w.assess(&[&leaf, &low, &w.sub, &other]);
    assert_eq!(faults(&extra), [(Fault::UnrelatedExtra, Some(3))]);
    assert!(swapped.iter().chain(&extra).all(|defect| defect.fault.is_mild()));
}

#[test]
fn a_spoiled_signature_is_told() {
    let w = World::new();
    let mut forge = Forge::leaf(HOST, "Sub");
    forge.spoil = true;
    let leaf = w.leaf(forge);
    assert_eq!(faults(&w.assess(&[&leaf, &w.sub])), [(Fault::BadCertificateSignature, Some(0))]);
}

#[test]
fn what_was_verified_ahead_is_asked_of_no_key_again() {
    let w = World::new();
    assert_eq!(w.leaf.ahead.by(&w.sub), None);
    let verified = Verified::default();
    verify_ahead(&[w.leaf.clone(), w.sub.clone()], &w.trust, &verified);
    assert_eq!([w.leaf.ahead.by(&w.sub), w.sub.ahead.by(&w.root)], [Some(Verdict::Good); 2]);
    // By another key nothing is known, and of a copy nothing at all.
    assert_eq!((w.leaf.ahead.by(&w.root), w.leaf.signed_by(&w.root)), (None, Verdict::Bad));
    assert_eq!((*w.leaf).clone().ahead.by(&w.sub), None);
    // An issuer that is not presented is not looked for each time.
    let alone = w.leaf(Forge::leaf(HOST, "Sub"));
    verify_ahead(std::slice::from_ref(&alone), &w.trust, &verified);
    assert!(alone.ahead.is_done() && alone.ahead.by(&w.sub).is_none());
}

#[test]
fn what_one_thread_verified_is_not_verified_by_another() {
    let w = World::new();
    let verified = Verified::default();
    let chain = || [(*w.leaf).clone(), (*w.sub).clone()].map(Arc::new);
    let [first, second] = [chain(), chain()];
    verify_ahead(&first, &w.trust, &verified);
    // Nobody could verify this one; its name is all that is the same.
    let unsigned = Certificate { signature: Vec::new(), ..(*second[0]).clone() };
    let chain = [Arc::new(unsigned), second[1].clone()];
    verify_ahead(&chain, &w.trust, &verified);
    assert_eq!(chain[0].ahead.by(&w.sub), Some(Verdict::Good));
    assert_eq!((*chain[0]).clone().signed_by(&w.sub), Verdict::Bad);
}

#[test]
fn who_made_a_signature_that_fails_is_named() {
    let w = World::new();
    let other_key = Key::new();
    let other = Forge::ca("Other", "Root").sign(&other_key, &w.root_key);
    let der = Forge::leaf(HOST, "Sub").der_without_ids(&w.leaf_key, &other_key);
    let leaf = Arc::new(Certificate::parse(&der));
    let says = |presented: &[&Arc<Certificate>]| {
        let defects = w.assess(presented);
        defects.into_iter().find(|defect| defect.fault == Fault::BadCertificateSignature).unwrap().says
    };
    assert!(says(&[&leaf, &w.sub, &other]).ends_with(": the key of CN=Other made it"));
    assert!(says(&[&leaf, &w.sub]).ends_with("of its issuer CN=Sub"), "ECDSA shows no more");
}

#[test]
fn a_certificate_altered_behind_its_signature_is_told() {
    let (w, name) = (World::new(), "rsa1024-sha512");
    let all = Der(include_bytes!("../../../tests/data/signed.der"));
    let sound =
        all.map(|cert| cert.whole).find(|der| Certificate::parse(der).called() == format!("CN={name}"));
    let mut der = sound.unwrap().to_vec();
    let places: Vec<_> = (0..der.len()).filter(|&at| der[at..].starts_with(name.as_bytes())).collect();
    places.into_iter().for_each(|at| der[at] = b'R');
    let defects = w.assess(&[&Arc::new(Certificate::parse(&der))]);
    let defect = defects.into_iter().find(|defect| defect.fault == Fault::BadCertificateSignature).unwrap();
    assert!(defect.says.ends_with("that key signed other contents, so the certificate was altered"));
    // A bit of the signature instead: nothing shows whose it was.
    let mut der = sound.unwrap().to_vec();
    *der.last_mut().unwrap() ^= 1;
    let defects = w.assess(&[&Arc::new(Certificate::parse(&der))]);
    let defect = defects.into_iter().find(|defect| defect.fault == Fault::BadCertificateSignature).unwrap();
    assert!(defect.says.ends_with(": another key made it, or it is damaged"));
}

#[test]
fn an_issuer_of_the_same_name_with_another_key_is_not_a_bad_signature() {
    let w = World::new();
    let twin_key = Key::new();
    let twin = Forge::ca("Sub", "Root").sign(&twin_key, &w.root_key);
    assert_eq!(faults(&w.assess(&[&w.leaf, &twin])), [(Fault::UnknownRoot, Some(0))]);
    // The right one beside it is found.
    assert_eq!(w.assess(&[&w.leaf, &twin, &w.sub]), []);
}

#[test]
fn an_issuer_that_is_no_ca_is_told() {
    let w = World::new();
    for (what, sub) in [
        ("cA:FALSE", Forge::ca("Sub", "Root").without(&BASIC).with(&BASIC, true, &seq(&[]))),
        ("no basicConstraints", Forge::ca("Sub", "Root").without(&BASIC)),
        (
            "no keyCertSign",
            Forge::ca("Sub", "Root").without(&USAGE).with(&USAGE, true, &der(tag::BIT_STRING, &[7, 0x80])),
        ),
    ] {
        let sub = sub.sign(&w.sub_key, &w.root_key);
        assert_eq!(faults(&w.assess(&[&w.leaf, &sub])), [(Fault::NotACa, Some(1))], "{what}");
    }
}

#[test]
fn a_path_length_is_counted_without_the_leaf() {
    let w = World::new();
    let zero = seq(&[&der(tag::BOOLEAN, &[0xff]), &der(tag::INTEGER, &[0])]);
    let sub =
        Forge::ca("Sub", "Root").without(&BASIC).with(&BASIC, true, &zero).sign(&w.sub_key, &w.root_key);
    assert_eq!(w.assess(&[&w.leaf, &sub]), []);
    let low_key = Key::new();
    let low = Forge::ca("Low", "Sub").sign(&low_key, &w.sub_key);
    let leaf = Forge::leaf(HOST, "Low").sign(&w.leaf_key, &low_key);
    assert_eq!(faults(&w.assess(&[&leaf, &low, &sub])), [(Fault::PathTooLong, Some(2))]);
}

#[test]
fn names_are_judged_for_servers_only() {
    let w = World::new();
    let other = w.ask(&[&w.leaf, &w.sub], |question| question.host = Some("www.example.org"));
    assert_eq!(faults(&other), [(Fault::SanMismatch, Some(0))]);
    let client = w.ask(&[&w.leaf, &w.sub], |question| {
        question.host = Some("www.example.org");
        question.client = true;
    });
    assert_eq!(client, []);
}

#[test]
fn purposes_are_judged_by_role() {
    let w = World::new();
    let server = seq(&[&der(tag::OID, &[0x2b, 6, 1, 5, 5, 7, 3, 1])]);
    let leaf = w.leaf(Forge::leaf(HOST, "Sub").with(&EKU, false, &server));
    assert_eq!(w.assess(&[&leaf, &w.sub]), []);
    let as_client = w.ask(&[&leaf, &w.sub], |question| question.client = true);
    assert_eq!(faults(&as_client), [(Fault::EkuLacksClientAuth, Some(0))]);
    let client = seq(&[&der(tag::OID, &[0x2b, 6, 1, 5, 5, 7, 3, 2])]);
    let leaf = w.leaf(Forge::leaf(HOST, "Sub").with(&EKU, false, &client));
    assert_eq!(faults(&w.assess(&[&leaf, &w.sub])), [(Fault::EkuLacksServerAuth, Some(0))]);
}

#[test]
fn a_leaf_must_be_allowed_what_the_handshake_asks() {
    let w = World::new();
    let agreement = w.leaf(Forge::leaf(HOST, "Sub").with(&USAGE, true, &der(tag::BIT_STRING, &[3, 0x08])));
    assert_eq!(w.assess(&[&agreement, &w.sub]), []);
    let signs = w.ask(&[&agreement, &w.sub], |question| question.uses = KeyUse::Signs);
    assert_eq!(faults(&signs), [(Fault::KeyUsage, Some(0))]);
    assert!(signs[0].says.contains("keyAgreement without digitalSignature"), "{}", signs[0].says);
}

#[test]
fn an_unknown_critical_extension_is_told_and_a_harmless_one_is_not() {
    let w = World::new();
    for (critical, want) in [(true, vec![(Fault::UnknownCritical, Some(0))]), (false, vec![])] {
        let leaf = w.leaf(Forge::leaf(HOST, "Sub").with(&[0x2a, 3, 4], critical, &[5, 0]));
        assert_eq!(faults(&w.assess(&[&leaf, &w.sub])), want);
    }
}

#[test]
fn a_key_identifier_must_not_be_critical() {
    let w = World::new();
    let id = seq(&[&der(0x80, &w.sub_key.id())]);
    let forge = Forge::leaf(HOST, "Sub").with(&[0x55, 0x1d, 35], true, &id);
    let leaf = Arc::new(Certificate::parse(&forge.der_without_ids(&w.leaf_key, &w.sub_key)));
    assert_eq!(faults(&w.assess(&[&leaf, &w.sub])), [(Fault::UnknownCritical, Some(0))]);
}

#[test]
fn name_constraints_bind_the_leaf() {
    let w = World::new();
    let permit = |tree: &str| {
        let subtree = seq(&[&der(0x82, tree.as_bytes())]);
        let value = seq(&[&der(tag::context(0), &subtree)]);
        Forge::ca("Sub", "Root").with(&[0x55, 0x1d, 30], true, &value).sign(&w.sub_key, &w.root_key)
    };
    assert_eq!(w.assess(&[&w.leaf, &permit("example.com")]), []);
    let outside = w.assess(&[&w.leaf, &permit("example.org")]);
    assert_eq!(faults(&outside), [(Fault::NameConstraints, Some(1))]);
}

#[test]
fn a_damaged_leaf_is_told_with_what_can_be_read() {
    let w = World::new();
    let mut bytes = w.leaf.der.to_vec();
    let cut = bytes.len() - 20;
    bytes.truncate(cut);
    let leaf = Arc::new(Certificate::parse(&bytes));
    assert!(faults(&w.assess(&[&leaf, &w.sub])).contains(&(Fault::DecodeError, Some(0))));
}

#[test]
fn the_path_with_the_fewest_defects_is_chosen() {
    let mut w = World::new();
    // The same CA cross-signed by an expired, equally trusted root.
    let old_key = Key::new();
    let old = Forge::ca("Old", "Old").dated(year(2000), year(2020)).sign(&old_key, &old_key);
    let cross = Forge::ca("Sub", "Old").dated(year(2010), year(2020)).sign(&w.sub_key, &old_key);
    w.trust.add(&old.der);
    assert_eq!(faults(&w.assess(&[&w.leaf, &cross, &w.sub])), [(Fault::UnrelatedExtra, Some(1))]);
    let only_old = w.assess(&[&w.leaf, &cross]);
    assert_eq!(faults(&only_old), [(Fault::IntermediateExpired, Some(1)), (Fault::RootExpired, None)]);
}

#[test]
fn loops_and_crowds_end() {
    let w = World::new();
    // Twelve CAs that all certify one another under one name.
    let keys: Vec<Key> = (0..12).map(|_| Key::new()).collect();
    let mut crowd = vec![Forge::leaf(HOST, "Crowd").sign(&w.leaf_key, &keys[0])];
    for key in &keys {
        for by in &keys {
            crowd.push(Arc::new(Certificate::parse(&Forge::ca("Crowd", "Crowd").der_without_ids(key, by))));
        }
    }
    let crowd: Vec<&Arc<Certificate>> = crowd.iter().collect();
    assert!(!w.assess(&crowd).is_empty());
}

#[test]
fn an_expired_twin_that_the_path_does_without_is_told_and_mild() {
    let w = World::new();
    let old = Forge::ca("Sub", "Old Root").dated(year(2020), year(2024)).sign(&w.sub_key, &Key::new());
    let found = w.assess(&[&w.leaf, &w.sub, &old]);
    assert_eq!(faults(&found), [(Fault::UnrelatedExtra, Some(2))]);
    assert!(found[0].says.contains("notAfter 2024-01-01"), "{}", found[0].says);
}

#[test]
fn names_that_differ_in_string_type_still_chain() {
    let w = World::new();
    let mut forge = Forge::leaf(HOST, "Sub");
    let printable = seq(&[&der(tag::OID, &[0x55, 4, 3]), &der(0x13, b"SUB")]);
    forge.issuer = seq(&[&der(tag::SET, &printable)]);
    assert_ne!(forge.issuer, name("Sub"));
    let leaf = w.leaf(forge);
    assert_eq!(w.assess(&[&leaf, &w.sub]), []);
}

#[test]
fn known_certificates_that_arrive_later_refresh_the_cache() {
    let w = World::new();
    let mut cache = ChainCache::new(8);
    let presented = [w.leaf.clone()];
    let question = Question {
        presented: &presented,
        at: now(),
        host: None,
        server_ip: None,
        client: false,
        uses: KeyUse::Unknown,
    };
    let before = assess_cached(&question, &w.trust, &mut pool(&[]), &mut cache);
    let after = assess_cached(&question, &w.trust, &mut pool(std::slice::from_ref(&w.sub)), &mut cache);
    assert_eq!(faults(&before), faults(&after));
    assert_ne!(before[0].says, after[0].says);
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_kept_answer_is_the_one_that_would_be_given_now() {
    let w = World::new();
    let mut cache = ChainCache::new(8);
    let (sound, alone) = (vec![w.leaf.clone(), w.sub.clone()], vec![w.leaf.clone()]);
    let dates = [&w.leaf, &w.sub, &w.root].into_iter().flat_map(|cert| [cert.not_before, cert.not_after]);
    let around = |date: Stamp| [-1, 0, 1].map(|secs| date + Span::from_secs(secs));
    let times: Vec<Stamp> = dates.chain([now()]).flat_map(around).collect();
    let mut answers = 0;
    for at in times.iter().chain(times.iter().rev()).copied() {
        for (presented, host) in
            [(&sound, Some(HOST)), (&alone, Some(HOST)), (&sound, Some("other.test")), (&sound, None)]
        {
            for (client, uses) in [(false, KeyUse::Unknown), (false, KeyUse::Decrypts), (true, KeyUse::Signs)]
            {
                let server_ip = Some([192, 0, 2, 1].into());
                let question = Question { presented, at, host, server_ip, client, uses };
                let kept = assess_cached(&question, &w.trust, &mut pool(&[]), &mut cache);
                assert_eq!(*kept, *assess(&question, &w.trust, &mut pool(&[])), "{at} {question:?}");
                answers += usize::from(kept.is_empty());
            }
        }
    }
    assert!(answers > 10);
}
