//! Revocation lists that were fetched, for the certificates that come behind them.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::base::{Addr, Packets, Seen, Stamp};
use crate::evidence::around::Listed;
use crate::tls::cert::Certificate;
use crate::tls::crl::Crl;
use crate::tls::signature::Verdict;

/// The newest list of each issuer, within bounds.
#[derive(Debug, Default)]
pub(super) struct Lists {
    kept: HashMap<Vec<u8>, Kept, RandomState>,
    bytes: usize,
    /// Lists that left a full memory.
    pub dropped: u64,
}

#[derive(Debug)]
struct Kept {
    crl: Arc<Crl>,
    at: Packets,
    when: Stamp,
    by: Addr,
    /// Whether its issuer signed it, once that was asked.
    signed: Option<Verdict>,
}

impl Lists {
    /// Issuers with a list.
    const MOST: usize = 256;
    /// Bytes of all lists.
    const BYTES: usize = 64 << 20;

    /// Keeps a list, unless a newer one of its issuer is kept.
    pub(super) fn put(&mut self, seen: &Seen<Arc<Crl>>, by: Addr) {
        let crl = &seen.value;
        if let Some(kept) = self.kept.get_mut(&crl.issuer_der) {
            (kept.when, kept.by) = (kept.when.max(seen.when), by);
            if kept.crl.this_update > crl.this_update || kept.crl == *crl {
                return;
            }
        }
        self.bytes += crl.size();
        let kept = Kept { crl: Arc::clone(crl), at: seen.at.clone(), when: seen.when, by, signed: None };
        if let Some(old) = self.kept.insert(crl.issuer_der.clone(), kept) {
            self.bytes -= old.crl.size();
        }
        while (self.kept.len() > Self::MOST || self.bytes > Self::BYTES)
            && let Some(oldest) =
                self.kept.iter().min_by_key(|(_, kept)| kept.when).map(|(issuer, _)| issuer.clone())
        {
            self.bytes -= self.kept.remove(&oldest).map_or(0, |old| old.crl.size());
            self.dropped += 1;
        }
    }

    /// The first certificate of a chain that a list names, which was fetched up to `until`. `issuer` finds the certificate
    /// of an issuer.
    pub(super) fn names(
        &mut self,
        chain: &[Arc<Certificate>],
        until: Stamp,
        issuer: impl Fn(&Certificate) -> Option<Arc<Certificate>>,
    ) -> Option<Seen<Listed>> {
        if self.kept.is_empty() {
            return None;
        }
        chain.iter().enumerate().find_map(|(place, cert)| {
            let kept = self.kept.get_mut(&cert.issuer_der).filter(|kept| kept.when <= until)?;
            let revoked = kept.crl.revoked(cert)?;
            if kept.signed.is_none() {
                kept.signed = issuer(cert).map(|issuer| kept.crl.signed(&issuer));
            }
            if kept.signed.is_some_and(Verdict::fails) {
                return None;
            }
            let verified = kept.signed.is_some_and(Verdict::holds);
            Some(Seen {
                value: Listed { place, revoked, verified, fetched_by: kept.by },
                at: kept.at.clone(),
                when: kept.when,
            })
        })
    }
}
