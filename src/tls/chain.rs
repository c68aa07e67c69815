//! Everything that is wrong with a chain of certificates, not the first thing only.
//!
//! [`assess`] looks for the best path from the leaf to a root (`path`) and then tells what a
//! verifier could hold against it (`rules`). Which of that made a client give up is not known
//! here.

mod cache;
mod defects;
mod early;
mod pair;
mod path;
mod pool;
mod rules;

#[cfg(test)]
mod tests;

pub use cache::ChainCache;
pub use defects::Defects;
pub use early::Verified;
pub use pair::encryption_certificate;
pub use pool::Pool;

use super::cert::Certificate;
use super::trust::Trust;
use crate::base::Stamp;
use std::sync::Arc;

/// One thing wrong with a presented chain, told as a verifier at capture time would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// What is wrong.
    pub fault: Fault,
    /// Which certificate of the presented chain, leaf 0; `None` where it is about the path as a whole.
    pub cert: Option<usize>,
    /// For people: what the field says and what the rule wants.
    pub says: String,
}

/// The kinds of defects. Each belongs to one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the words are those of the causes' reasons")]
pub enum Fault {
    // expired_cert
    LeafExpired,
    IntermediateExpired,
    RootExpired,
    // validity_misconfig
    NotYetValid,
    LifetimeInverted,
    LifetimeTooLong,
    LifetimePrivate,
    // broken_chain
    MissingIntermediate,
    UnknownRoot,
    SelfSigned,
    WrongOrder,
    UnrelatedExtra,
    DistrustedCa,
    NotACa,
    PathTooLong,
    // name_mismatch
    SanMismatch,
    NoSan,
    IpNotInSan,
    WildcardDepth,
    IdnNotALabel,
    // damaged_key
    BadCertificateSignature,
    WeakKey,
    WeakSignature,
    DecodeError,
    // missing_extension
    EkuLacksServerAuth,
    EkuLacksClientAuth,
    KeyUsage,
    NoAki,
    NoSki,
    BasicConstraints,
    NameConstraints,
    UnknownCritical,
    Profile,
}

/// What a chain is judged against.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The certificates as presented, leaf first (as the peer ordered them).
    pub presented: &'a [Arc<Certificate>],
    /// Capture time.
    pub at: Stamp,
    /// The host asked for; `None` where none is known (names are then not judged).
    pub host: Option<&'a str>,
    /// The server's address, for certificates that name IP addresses.
    pub server_ip: Option<std::net::IpAddr>,
    /// Whether this is a client's chain (EKU clientAuth, no names).
    pub client: bool,
    /// How the handshake uses the leaf's key; decides which keyUsage bit it needs.
    pub uses: KeyUse,
}

/// What the handshake asks of the leaf's key (RFC 5246 section 7.4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyUse {
    /// Not known: only a key that could do neither is reported.
    #[default]
    Unknown,
    /// It signs: TLS 1.3, DHE, ECDHE, client certificates.
    Signs,
    /// It decrypts: RSA key transport.
    Decrypts,
    /// TLCP: the first certificate's key signs, the second's enciphers.
    Pair,
    /// The first of a pair.
    PairSigns,
    /// The second of a pair.
    PairEnciphers,
}

impl KeyUse {
    /// What an end-entity certificate is called.
    const fn role(self) -> &'static str {
        match self {
            Self::PairSigns => "signing certificate",
            Self::PairEnciphers => "encryption certificate",
            _ => "leaf",
        }
    }
}

/// Every defect of the presented chain, those of the leaf first. Empty: none was found. Tries at
/// most `path::Budget` signature checks, each 30 to 300 µs.
pub fn assess(question: &Question<'_>, trust: &Trust, pool: &mut Pool) -> Vec<Defect> {
    if question.uses == KeyUse::Pair {
        return pair::assess(question, &mut |half| assess(half, trust, pool).into()).to_vec();
    }
    let known = pool.above(question.presented);
    let paths = path::find(question.presented, &known, trust, &mut path::Budget::default());
    judge(question, &paths)
}

/// As [`assess`], but chains seen before cost no signature checks, and questions asked before no look at the rules. A
/// cache serves one `trust`.
pub fn assess_cached(
    question: &Question<'_>,
    trust: &Trust,
    pool: &mut Pool,
    cache: &mut ChainCache,
) -> Defects {
    if question.uses == KeyUse::Pair {
        return pair::assess(question, &mut |half| assess_cached(half, trust, pool, cache));
    }
    let paths = cache.paths(question.presented, trust, pool);
    cache.verdict(question, &paths)
}

/// Verifies what [`assess`] is likely to ask of this chain's signatures, so that it finds the verdicts with the certificates:
/// along the first path that what is presented and trusted gives. Once for each leaf, and what `verified` has is not done again.
pub fn verify_ahead(presented: &[Arc<Certificate>], trust: &Trust, verified: &Verified) {
    let Some(leaf) = presented.first().filter(|leaf| !leaf.ahead.is_done()) else { return };
    let mut budget = path::Budget { checks: 8, paths: 1, ..path::Budget::default() };
    path::find_with(presented, &[], trust, &mut budget, &mut early::Early(verified));
    leaf.ahead.set(None);
}

/// The defects along the path that has the mildest.
fn judge(question: &Question<'_>, paths: &[path::Path]) -> Vec<Defect> {
    let Some(leaf) = question.presented.first() else { return Vec::new() };
    let mut best: Option<(u32, Vec<Defect>, &path::Path)> = None;
    for path in paths {
        let defects = rules::along(path, question);
        let cost = defects.iter().map(|defect| defect.fault.weight()).sum();
        if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
            let perfect = cost == 0;
            best = Some((cost, defects, path));
            if perfect {
                break;
            }
        }
    }
    let mut defects = rules::of_leaf(leaf, question);
    if let Some((_, along, path)) = best {
        rules::of_public_leaf(leaf, path, question, &mut defects);
        defects.extend(along);
        rules::of_presentation(path, question, &mut defects);
    }
    defects
}

impl Fault {
    /// How gladly a verifier would take another path, 0 = does not care.
    fn weight(self) -> u32 {
        match self {
            Self::MissingIntermediate => 120,
            Self::DistrustedCa | Self::UnknownRoot | Self::SelfSigned => 100,
            Self::BadCertificateSignature => 110,
            Self::RootExpired => 30,
            Self::WeakKey | Self::WeakSignature => 15,
            Self::NoAki | Self::NoSki | Self::BasicConstraints | Self::Profile => 1,
            Self::WrongOrder | Self::UnrelatedExtra | Self::LifetimePrivate => 0,
            _ => 50,
        }
    }

    /// What is said of it names the moment at which it was judged.
    pub fn is_of_the_moment(self) -> bool {
        matches!(self, Self::LeafExpired | Self::IntermediateExpired | Self::RootExpired | Self::NotYetValid)
    }

    /// Certificates break this rule and all but strict verifiers do not mind (Python since 3.13 is strict).
    pub fn is_mild(self) -> bool {
        matches!(
            self,
            Self::NoAki
                | Self::NoSki
                | Self::BasicConstraints
                | Self::Profile
                | Self::WrongOrder
                | Self::UnrelatedExtra
                | Self::LifetimePrivate
        )
    }
}
