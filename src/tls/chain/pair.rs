//! The two certificates of one TLCP holder: the first is for signatures, the second for encipherment, and the authorities of
//! both come behind them (GB/T 38636-2020 section 6.4.5.3).

use super::{Defect, Defects, Fault, KeyUse, Question};
use crate::tls::cert::Certificate;
use std::sync::Arc;

/// Every defect of a presented pair, that of the certificate for signatures first, each kind once. `ask` judges one chain.
pub(super) fn assess(question: &Question<'_>, ask: &mut dyn FnMut(&Question<'_>) -> Defects) -> Defects {
    let Some((signing, encryption, above)) = halves(question.presented) else {
        let single = ask(&Question { uses: KeyUse::Signs, ..*question });
        // A client of ECC suites only signs.
        let lacks = |first: &Arc<Certificate>| {
            let says = format!(
                "no encryption certificate was presented beside {}: TLCP wants two, for signatures and for encipherment (GB/T 38636 section 6.4.5.3)",
                first.called()
            );
            Defect { fault: Fault::KeyUsage, cert: Some(0), says }
        };
        let lack = question.presented.first().filter(|_| !question.client).map(lacks);
        return if let Some(lack) = lack { single.iter().cloned().chain([lack]).collect() } else { single };
    };
    let chain =
        |half: &Arc<Certificate>| -> Vec<_> { std::iter::once(half).chain(above).map(Arc::clone).collect() };
    let (signing, encryption) = (chain(signing), chain(encryption));
    let of = |presented, uses| Question { presented, uses, ..*question };
    let signs = ask(&of(&signing, KeyUse::PairSigns));
    let enciphers = ask(&of(&encryption, KeyUse::PairEnciphers));
    let mut list: Vec<Defect> = signs.iter().map(|defect| placed(defect, 0)).collect();
    for defect in enciphers.iter() {
        if !list.iter().any(|other| other.fault == defect.fault) {
            list.push(placed(defect, 1));
        }
    }
    list.into()
}

/// The certificate for encipherment of a presented pair; `None` where a single one was presented.
pub fn encryption_certificate(presented: &[Arc<Certificate>]) -> Option<&Arc<Certificate>> {
    halves(presented).map(|(_, encryption, _)| encryption)
}

/// A pair, and those above.
type Halves<'a> = (&'a Arc<Certificate>, &'a Arc<Certificate>, &'a [Arc<Certificate>]);

/// The certificate for signatures, the one for encipherment, and those above; `None` where the second is no holder's.
fn halves(presented: &[Arc<Certificate>]) -> Option<Halves<'_>> {
    let [first, second, above @ ..] = presented else { return None };
    let one_holder = first.subject_der == second.subject_der && first.key.spki != second.key.spki;
    let holder = !second.is_ca() && first.issuer_der != second.subject_der;
    (one_holder || holder).then_some((first, second, above))
}

/// The defect of one half's chain, at its place in the whole.
fn placed(defect: &Defect, half: usize) -> Defect {
    let cert = defect.cert.map(|place| if place == 0 { half } else { place.saturating_add(1) });
    Defect { cert, ..defect.clone() }
}
