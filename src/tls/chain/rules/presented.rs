//! Rules for what was presented as a whole.

use super::super::path::{Path, Step};
use super::super::{Defect, Fault, Question};
use crate::base::Stamp;

/// Order and surplus of what was presented (RFC 5246 section 7.4.2: each certificate MUST certify
/// the one before it; RFC 9846 section 4.4.2: SHOULD, and be tolerant).
pub(in crate::tls::chain) fn of_presentation(path: &Path, question: &Question<'_>, list: &mut Vec<Defect>) {
    let used: Vec<usize> = path.steps.iter().filter_map(Step::presented).collect();
    if let Some((above, below)) = used.iter().zip(used.iter().skip(1)).find(|(above, below)| above > below) {
        let says = format!(
            "the certificates are presented out of order: number {} is the issuer of number {}",
            below + 1,
            above + 1
        );
        list.push(Defect { fault: Fault::WrongOrder, cert: Some(*below), says });
    }
    let leaf_later = || {
        let others = question.presented.iter().enumerate().skip(1);
        let mut others = others.filter(|(_, cert)| !cert.is_ca() && !cert.is_self_issued());
        others.find(|(_, cert)| {
            question.presented.first().is_some_and(|first| cert.issuer_der == first.subject_der)
        })
    };
    if let Some(first) = question.presented.first()
        && first.is_ca()
        && let Some((place, leaf)) = leaf_later()
    {
        let says =
            format!("the leaf {} is presented as number {}, behind its issuer", leaf.called(), place + 1);
        list.push(Defect { fault: Fault::WrongOrder, cert: Some(place), says });
    }
    for (place, cert) in question.presented.iter().enumerate().skip(1).take(32) {
        let related = used.contains(&place)
            || path.steps.iter().any(|step| {
                step.cert.sha256 == cert.sha256
                    || step.cert.issuer_der == cert.subject_der
                    || step.cert.subject_der == cert.subject_der
            })
            || question.presented.first().is_some_and(|first| cert.issuer_der == first.subject_der);
        let at = question.at.secs();
        if !related {
            let says = format!(
                "certificate number {} ({}) belongs to no path from the leaf",
                place + 1,
                cert.called()
            );
            list.push(Defect { fault: Fault::UnrelatedExtra, cert: Some(place), says });
        } else if !used.contains(&place) && cert.not_after.secs() < at && cert.not_after != Stamp::default() {
            let says = format!(
                "certificate number {} ({}) has notAfter {}; the path does without it, but verifiers that look for one path only may stop there",
                place + 1,
                cert.called(),
                cert.not_after.date()
            );
            list.push(Defect { fault: Fault::UnrelatedExtra, cert: Some(place), says });
        }
    }
}
