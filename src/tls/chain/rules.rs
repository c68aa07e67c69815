//! What a verifier could hold against a path, rule by rule.

mod distrust;
mod leaf;
mod presented;
mod single;
mod strict;

pub(super) use leaf::{of_leaf, of_public_leaf};
pub(super) use presented::of_presentation;

use super::path::{End, Path, Place, Step};
use super::{Defect, Fault, Question};
use crate::tls::cert::Certificate;
use crate::tls::constraints;
use crate::tls::signature::is_by_key_of_certificate;
use single::{KEY_CERT_SIGN, critical, dates, purpose, usage_names, weak_key, weak_signature};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The longest stretch of whole seconds around this one in which every rule says the same of a leaf and its paths: no
/// date of a certificate, and no day of distrust, lies inside.
pub(super) fn same_throughout(presented: &[Arc<Certificate>], paths: &[Path], second: i64) -> Range<i64> {
    let certs = paths.iter().flat_map(|path| &path.steps).map(|step| &step.cert);
    let dates = certs
        .chain(presented)
        .flat_map(|cert| [cert.not_before.secs(), cert.not_after.secs().saturating_add(1)]);
    let mut stretch = i64::MIN..i64::MAX;
    for turn in dates.chain(distrust::turns()) {
        if turn <= second {
            stretch.start = stretch.start.max(turn);
        } else {
            stretch.end = stretch.end.min(turn);
        }
    }
    stretch
}

/// What the rules so far have found.
struct Found<'a> {
    list: Vec<Defect>,
    question: &'a Question<'a>,
}

impl Found<'_> {
    fn add(&mut self, fault: Fault, cert: Option<usize>, says: String) {
        self.list.push(Defect { fault, cert, says });
    }
}

/// `the leaf CN=a`, `the intermediate CN=b`, `the root CN=c`; text only where something is said.
#[derive(Clone, Copy)]
pub(super) struct Title<'a>(&'a Certificate, &'static str);

impl fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {}", self.1, self.0.called())
    }
}

fn title<'a>(cert: &'a Certificate, role: &'static str) -> Title<'a> {
    Title(cert, role)
}

/// Defects of everything above the leaf, and of the way the path ends.
pub(super) fn along(path: &Path, question: &Question<'_>) -> Vec<Defect> {
    let mut found = Found { list: Vec::new(), question };
    let last = path.steps.len().saturating_sub(1);
    let self_signed = matches!(path.end, End::SelfSigned);
    let trusted = matches!(path.end, End::Trusted { .. });
    left_out(path, &mut found);
    for (height, step) in path.steps.iter().enumerate() {
        let cert = &*step.cert;
        let place = step.presented();
        let top = height == last && (trusted || self_signed);
        // Nobody checks the signature of a certificate that is trusted or that signs itself.
        if !top {
            weak_signature(cert, place, &title(cert, role(height, false)), &mut found);
        }
        if height == 0 {
            continue;
        }
        let title = title(cert, role(height, top));
        if let Some(damage) = &cert.damage {
            found.add(Fault::DecodeError, place, format!("{title} is damaged: {damage}"));
        }
        let expired = if top { Fault::RootExpired } else { Fault::IntermediateExpired };
        dates(cert, place, &title, expired, &mut found);
        weak_key(cert, place, &title, &mut found);
        critical(cert, place, &title, &mut found);
        issuer(path, height, top && trusted, &title, &mut found);
    }
    ending(path, &mut found);
    strict::profile(path, &mut found);
    found.list
}

/// An intermediate that the path needs and the server did not present.
fn left_out(path: &Path, found: &mut Found<'_>) {
    let pairs = path.steps.iter().zip(path.steps.iter().skip(1)).enumerate();
    let Some((height, (below, above))) =
        pairs.into_iter().find(|(_, (_, above))| above.place == Place::Known)
    else {
        return;
    };
    let says = format!(
        "{} was issued by {}, which was not presented; another certificate of that name completes the path, for clients that keep or fetch intermediates",
        title(&below.cert, role(height, false)),
        above.cert.called()
    );
    found.add(Fault::MissingIntermediate, below.presented(), says);
}

fn role(height: usize, top: bool) -> &'static str {
    match (height, top) {
        (0, _) => "leaf",
        (_, true) => "root",
        (_, false) => "intermediate",
    }
}

/// What a certificate must be to issue the one below it. Trusted roots are trusted whatever they
/// say of themselves (RFC 5280 section 6.1.1 takes name and key only), but for cA:FALSE, a path
/// length and name constraints, which OpenSSL and others honour.
fn issuer(path: &Path, height: usize, root: bool, title: &Title<'_>, found: &mut Found<'_>) {
    let Some(Step { cert, .. }) = path.steps.get(height) else { return };
    let place = path.steps.get(height).and_then(Step::presented);
    let below = path.steps.get(..height).unwrap_or_default();
    match cert.basic_constraints {
        Some((true, _)) => {}
        Some((false, _)) => {
            found.add(
                Fault::NotACa,
                place,
                format!("{title} has cA:FALSE, yet it issued {}", below_name(below)),
            );
        }
        None if cert.version == 1 && root => {}
        None if root => {}
        None => found.add(
            Fault::NotACa,
            place,
            format!("{title} has no basicConstraints with cA:TRUE, yet it issued {}", below_name(below)),
        ),
    }
    // OpenSSL and GnuTLS ask it of trusted roots too.
    if cert.may(KEY_CERT_SIGN) == Some(false) {
        let usage = usage_names(cert.key_usage.unwrap_or_default());
        found.add(
            Fault::NotACa,
            place,
            format!("{title} has keyUsage {usage} without keyCertSign, yet it issued {}", below_name(below)),
        );
    }
    if let Some((_, Some(most))) = cert.basic_constraints {
        // Self-issued certificates do not count (RFC 5280 section 4.2.1.9), nor does the leaf.
        let between = below.iter().skip(1).filter(|step| !step.cert.is_self_issued()).count();
        if between > usize::try_from(most).unwrap_or(usize::MAX) {
            found.add(
                Fault::PathTooLong,
                place,
                format!(
                    "{title} allows {most} intermediates below it (pathLenConstraint), the path has {between}"
                ),
            );
        }
    }
    // OpenSSL asks the purpose of trusted roots too, where they tell one.
    if !matches!(path.end, End::Trusted { public: true }) || !root {
        purpose(cert, place, title, found);
    }
    if let Some(constraints) = &cert.name_constraints {
        // Self-issued intermediates are exempt (RFC 5280 section 6.1.3).
        let mut bound =
            below.iter().enumerate().filter(|(low, step)| *low == 0 || !step.cert.is_self_issued());
        let breach = bound
            .find_map(|(low, step)| Some((low, constraints::forbidden(constraints, &step.cert, low == 0)?)));
        if let Some((low, why)) = breach {
            let says = format!("{title} has nameConstraints: the {}'s name{why}", role(low, false));
            found.add(Fault::NameConstraints, place, says);
        }
    }
}

fn below_name(below: &[Step]) -> String {
    below.last().map(|step| step.cert.called()).unwrap_or_default()
}

/// The way a path ends.
fn ending(path: &Path, found: &mut Found<'_>) {
    let Some(top) = path.steps.last() else { return };
    let cert = &*top.cert;
    let height = path.steps.len() - 1;
    let what = title(cert, role(height, false));
    let leaf = path.steps.first().map(|step| &*step.cert);
    let distrusted = distrust::of(cert, leaf, found.question.at);
    let (fault, says) = match &path.end {
        End::Trusted { .. } if distrusted.is_none() || path.steps.len() < 2 => return,
        End::GaveUp => (
            Fault::UnknownRoot,
            format!("no path to a trusted root was found from {what} before the bound on signature checks"),
        ),
        End::TooDeep => (
            Fault::PathTooLong,
            format!("the path has {} certificates and reaches no root", path.steps.len()),
        ),
        End::BadSignature { issuer } => (
            Fault::BadCertificateSignature,
            format!(
                "the signature ({}) of {what} does not verify with the key ({}) of its issuer {}{}",
                cert.signature_algorithm,
                issuer.key.kind,
                issuer.called(),
                made_by(cert, issuer, found.question)
            ),
        ),
        _ if distrusted.is_some() => {
            let why = distrusted.unwrap_or_default();
            (Fault::DistrustedCa, format!("the path ends at {}, {why}", cert.issuer))
        }
        End::Trusted { .. } => return,
        End::SelfSigned if height == 0 => (
            Fault::SelfSigned,
            format!("{what} is signed by its own key (subject = issuer) and is not among the trusted roots"),
        ),
        End::SelfSigned => (
            Fault::UnknownRoot,
            format!(
                "the path ends in the self-signed root {}, which is not among the trusted roots",
                cert.called()
            ),
        ),
        End::SameNameOtherKey => (
            Fault::UnknownRoot,
            format!(
                "{what} bears its own name as issuer, but another key signed it, which was neither presented nor is trusted"
            ),
        ),
        End::NoIssuer { namesake: Some(namesake) } => (
            Fault::UnknownRoot,
            format!(
                "the issuer of {what} is {}; the certificate by that name (serial {}) has another key, its key identifier is not the one asked for",
                cert.issuer, namesake.serial
            ),
        ),
        End::NoIssuer { namesake: None } if cert.issuer_der.is_empty() => {
            (Fault::UnknownRoot, format!("the issuer of {what} cannot be read"))
        }
        End::NoIssuer { namesake: None } if like_a_root(&cert.issuer) => (
            Fault::UnknownRoot,
            format!(
                "the issuer {} of {what} was not presented and is not among the trusted roots; by its name it is a root",
                cert.issuer
            ),
        ),
        End::NoIssuer { namesake: None } => {
            let fetch = match cert.issuer_urls.first() {
                Some(url) => format!("; it can be had from {url}"),
                None => String::new(),
            };
            (
                Fault::MissingIntermediate,
                format!(
                    "{what} was issued by {}, but no certificate of that name was presented or is known, and no trusted root bears it{fetch}",
                    cert.issuer
                ),
            )
        }
    };
    found.add(fault, top.presented(), says);
}

/// What shows whose key made a signature that is not the issuer's.
fn made_by(cert: &Certificate, issuer: &Certificate, question: &Question<'_>) -> String {
    let by_issuer =
        is_by_key_of_certificate(&issuer.key.spki, &cert.signature_algorithm_der, &cert.signature);
    if by_issuer == Some(true) {
        return ": that key signed other contents, so the certificate was altered".to_owned();
    }
    let others = question.presented.iter().filter(|other| other.is_ca() && other.key.spki != issuer.key.spki);
    match others.take(TRIED).find(|other| cert.signed_by(other).holds()) {
        Some(other) => format!(": the key of {} made it", other.called()),
        None if by_issuer == Some(false) => ": another key made it, or it is damaged".to_owned(),
        None => String::new(),
    }
}

/// Other keys that are tried on a bad signature.
const TRIED: usize = 8;

/// The issuer calls itself a root.
fn like_a_root(name: &str) -> bool {
    name.split(|letter: char| !letter.is_alphanumeric()).any(|word| {
        let word = word.to_ascii_lowercase();
        word == "root" || word == "rootca"
    })
}
