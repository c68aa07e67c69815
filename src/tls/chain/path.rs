//! Paths from a leaf towards a root, in the manner of RFC 4158.

use crate::tls::cert::{Certificate, same_name};
use crate::tls::signature::Verdict;
use crate::tls::trust::Trust;
use std::sync::Arc;

/// What building paths may cost. Cross-signed and hostile pools have exponentially many.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Signature checks left.
    pub checks: u32,
    /// Paths looked at before the best of them is taken.
    pub paths: usize,
    /// Certificates in a path at most.
    pub depth: usize,
}

impl Default for Budget {
    fn default() -> Self {
        // webpki allows 100 signatures and a depth of 6; Mozilla's verifier a depth of 8.
        Self { checks: 100, paths: 24, depth: 10 }
    }
}

/// Where a certificate of a path came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Presented, at this place, leaf 0.
    Presented(usize),
    /// Seen earlier.
    Known,
    /// A trusted root; `public`: one of Mozilla's.
    Root {
        /// Under the CA/Browser Forum's rules.
        public: bool,
    },
}

/// One certificate of a path.
#[derive(Clone, Debug)]
pub struct Step {
    /// The certificate.
    pub cert: Arc<Certificate>,
    /// Where it came from.
    pub place: Place,
    /// Whether the next step's key made this certificate's signature.
    pub signed: Option<Verdict>,
}

impl Step {
    /// Its place in the presented chain.
    pub fn presented(&self) -> Option<usize> {
        match self.place {
            Place::Presented(place) => Some(place),
            _ => None,
        }
    }
}

/// How a path ends.
#[derive(Clone, Debug)]
pub enum End {
    /// In a trusted root.
    Trusted {
        /// One of Mozilla's.
        public: bool,
    },
    /// In a certificate that its own key signed and that is not trusted.
    SelfSigned,
    /// In a certificate whose issuer's name is its own, but whose key is another.
    SameNameOtherKey,
    /// In a certificate whose issuer is not to be had.
    NoIssuer {
        /// A certificate by the issuer's name is to be had, but with another key: this one.
        namesake: Option<Arc<Certificate>>,
    },
    /// In a certificate whose signature its issuer's key did not make.
    BadSignature {
        /// That issuer.
        issuer: Arc<Certificate>,
    },
    /// Longer than any verifier follows.
    TooDeep,
    /// The budget was spent.
    GaveUp,
}

/// A path, leaf first.
#[derive(Clone, Debug)]
pub struct Path {
    /// The certificates, never empty.
    pub steps: Vec<Step>,
    /// How it ends.
    pub end: End,
}

/// Verifies signatures, perhaps from memory.
pub trait Verifier {
    /// Whether `issuer`'s key signed `cert`.
    fn signed(&mut self, cert: &Certificate, issuer: &Certificate) -> Verdict;
}

/// Verifies every time.
struct Plain;

impl Verifier for Plain {
    fn signed(&mut self, cert: &Certificate, issuer: &Certificate) -> Verdict {
        cert.signed_by(issuer)
    }
}

/// Paths of the first presented certificate over others presented, known ones and roots, trusted ones first; one at least
/// unless nothing was presented.
pub fn find(
    presented: &[Arc<Certificate>],
    known: &[Arc<Certificate>],
    trust: &Trust,
    budget: &mut Budget,
) -> Vec<Path> {
    find_with(presented, known, trust, budget, &mut Plain)
}

/// As [`find`], with a given verifier.
pub fn find_with(
    presented: &[Arc<Certificate>],
    known: &[Arc<Certificate>],
    trust: &Trust,
    budget: &mut Budget,
    verifier: &mut dyn Verifier,
) -> Vec<Path> {
    let Some(leaf) = presented.first() else { return Vec::new() };
    let mut search = Search { presented, known, trust, budget, verifier, found: Vec::new() };
    let mut steps = vec![Step { cert: leaf.clone(), place: Place::Presented(0), signed: None }];
    search.extend(&mut steps);
    let mut found = search.found;
    found.sort_by_key(|path| !matches!(path.end, End::Trusted { .. }));
    found
}

struct Search<'a> {
    presented: &'a [Arc<Certificate>],
    known: &'a [Arc<Certificate>],
    trust: &'a Trust,
    budget: &'a mut Budget,
    verifier: &'a mut dyn Verifier,
    found: Vec<Path>,
}

impl Search<'_> {
    /// Follows the last step's issuers. Recursion is bounded by `Budget::depth`.
    fn extend(&mut self, steps: &mut Vec<Step>) {
        let Some(top) = steps.last() else { return };
        let cert = top.cert.clone();
        if let Place::Root { public } = top.place {
            return self.finish(steps, End::Trusted { public });
        }
        if let Some(public) = self.trust.holds(&cert) {
            return self.finish(steps, End::Trusted { public });
        }
        if self.found.len() >= self.budget.paths {
            return;
        }
        if steps.len() >= self.budget.depth {
            return self.finish(steps, End::TooDeep);
        }
        if cert.is_self_issued() && self.by_own_key(&cert) == Some(true) {
            return self.finish(steps, End::SelfSigned);
        }

        let mut namesake = None;
        let mut bad = None;
        let mut went = false;
        for (issuer, place) in self.issuers(&cert) {
            if steps.iter().any(|step| step.cert.sha256 == issuer.sha256 || same_holder(&step.cert, &issuer))
            {
                continue;
            }
            if self.budget.checks == 0 {
                return self.finish(steps, End::GaveUp);
            }
            self.budget.checks -= 1;
            let signed = self.verifier.signed(&cert, &issuer);
            if signed.fails() {
                // A certificate of other traffic may be anybody's: that its key did not sign says nothing.
                if place == Place::Known {
                    continue;
                }
                match key_ids_match(&cert, &issuer) {
                    Some(false) => namesake = Some(issuer),
                    Some(true) => bad = Some(issuer),
                    None => bad = bad.or(Some(issuer)),
                }
                continue;
            }
            went = true;
            if let Some(top) = steps.last_mut() {
                top.signed = Some(signed);
            }
            steps.push(Step { cert: issuer, place, signed: None });
            self.extend(steps);
            steps.pop();
            if self.found.len() >= self.budget.paths {
                return;
            }
        }
        if went {
            return;
        }
        if let Some(top) = steps.last_mut() {
            top.signed = None;
        }
        let end = match bad {
            // A key identifier that is the certificate's own says who was meant to have signed it.
            None if cert.is_self_issued() && key_ids_match(&cert, &cert) == Some(true) => {
                End::BadSignature { issuer: cert }
            }
            None if cert.is_self_issued() => End::SameNameOtherKey,
            None => End::NoIssuer { namesake },
            Some(issuer) => End::BadSignature { issuer },
        };
        self.finish(steps, end);
    }

    fn finish(&mut self, steps: &[Step], end: End) {
        if self.found.len() < self.budget.paths {
            self.found.push(Path { steps: steps.to_vec(), end });
        }
    }

    /// Whether a self-issued certificate's own key signed it; `None` where the budget is spent.
    /// Where the algorithm is not supported, equal key identifiers, or none at all, stand for it.
    fn by_own_key(&mut self, cert: &Certificate) -> Option<bool> {
        self.budget.checks = self.budget.checks.checked_sub(1)?;
        Some(match self.verifier.signed(cert, cert) {
            Verdict::Good => true,
            Verdict::Bad => false,
            _ => key_ids_match(cert, cert) != Some(false),
        })
    }

    /// Certificates that bear the issuer's name, the likeliest first: key identifiers that agree,
    /// then roots, then presented ones, then known ones.
    fn issuers(&self, cert: &Certificate) -> Vec<(Arc<Certificate>, Place)> {
        if cert.issuer_der.is_empty() {
            return Vec::new();
        }
        let mut list: Vec<(Arc<Certificate>, Place)> = Vec::new();
        let mut roots = self.trust.named(&cert.issuer_der);
        let presented = || self.presented.iter().enumerate().skip(1);
        let named = |other: &Certificate| other.subject_der == cert.issuer_der;
        let mut alike: fn(&[u8], &[u8]) -> bool = |_, _| false;
        if roots.is_empty() && !presented().any(|(_, other)| named(other)) {
            roots = self.trust.named_alike(&cert.issuer_der);
            alike = same_name;
        }
        let fits = |other: &Certificate| named(other) || alike(&other.subject_der, &cert.issuer_der);
        list.extend(roots.into_iter().map(|root| (root.cert, Place::Root { public: root.public })));
        list.extend(
            presented()
                .filter(|(_, other)| fits(other))
                .map(|(place, other)| (other.clone(), Place::Presented(place))),
        );
        list.extend(self.known.iter().filter(|other| fits(other)).map(|other| (other.clone(), Place::Known)));
        let mut seen: Vec<[u8; 32]> = Vec::new();
        list.retain(|(issuer, _)| {
            let new = seen.len() < 64 && !seen.contains(&issuer.sha256);
            if new {
                seen.push(issuer.sha256);
            }
            new
        });
        list.sort_by_key(|(issuer, _)| match key_ids_match(cert, issuer) {
            Some(true) => 0,
            None => 1,
            Some(false) => 2,
        });
        list
    }
}

/// Same name and same key: a cross-signed twin, which may not occur twice (RFC 4158 section 5.2).
fn same_holder(one: &Certificate, other: &Certificate) -> bool {
    one.subject_der == other.subject_der && one.key.spki == other.key.spki && !one.key.spki.is_empty()
}

/// Whether the certificate's authorityKeyIdentifier is the issuer's subjectKeyIdentifier; `None`
/// where one of them is absent.
pub fn key_ids_match(cert: &Certificate, issuer: &Certificate) -> Option<bool> {
    let authority = cert.authority_key_id.as_deref().filter(|id| !id.is_empty())?;
    let subject = issuer.subject_key_id.as_deref()?;
    Some(authority == subject)
}
