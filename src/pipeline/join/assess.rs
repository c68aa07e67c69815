//! What is wrong with the chains of an attempt, judged at capture time.

use std::sync::Arc;

use super::{Join, Make};
use crate::evidence::Evidence;
use crate::tls::cert::Certificate;
use crate::tls::chain::{Defects, KeyUse, Question, assess_cached};
use crate::tls::codes::{Kx, Version};

impl<M: Make> Join<M> {
    /// Everything that is wrong with what both sides presented.
    pub(super) fn assess(&mut self, evidence: &mut Evidence) {
        if evidence.by_fingerprint() {
            return;
        }
        if let Some(chain) = evidence.known_chain().filter(|chain| !chain.value.is_empty()) {
            evidence.defects = self.defects_of(evidence, &chain.value);
        }
        if let Some(chain) = evidence.known_client_chain()
            && !chain.value.is_empty()
        {
            let pair = key_use(evidence) == KeyUse::Pair;
            let question = Question {
                presented: &chain.value,
                at: evidence.started,
                host: None,
                server_ip: None,
                client: true,
                uses: if pair { KeyUse::Pair } else { KeyUse::Signs },
            };
            evidence.client_defects = assess_cached(&question, &self.trust, &mut self.pool, &mut self.chains);
        }
    }

    /// What is wrong with a chain that this server shows, or may have shown.
    pub(super) fn defects_of(&mut self, evidence: &Evidence, chain: &[Arc<Certificate>]) -> Defects {
        let question = Question {
            presented: chain,
            at: evidence.started,
            host: evidence.host().map(|host| &**host),
            server_ip: evidence.server_address(),
            client: false,
            uses: key_use(evidence),
        };
        let misses = self.chains.misses;
        let defects = assess_cached(&question, &self.trust, &mut self.pool, &mut self.chains);
        if self.chains.misses != misses {
            self.pool.learn(chain);
        }
        defects
    }
}

/// What the server's key is for in the suite that was agreed on.
fn key_use(evidence: &Evidence) -> KeyUse {
    match &evidence.server_hello {
        Some(hello) if hello.value.version == Version::TLCP => match hello.value.cipher.kx() {
            Kx::SmIdentity | Kx::None => KeyUse::Unknown,
            _ => KeyUse::Pair,
        },
        Some(hello) => match hello.value.cipher.kx() {
            Kx::Rsa => KeyUse::Decrypts,
            Kx::Dhe | Kx::Ecdhe | Kx::Tls13 => KeyUse::Signs,
            _ => KeyUse::Unknown,
        },
        None => KeyUse::Unknown,
    }
}
