//! `quic`: what QUIC shows beside the messages of TLS in it.

use super::json::{Object, string};
use crate::base::Seen;
use crate::evidence::QuicFacts;

/// Writes the members of `quic`.
pub(super) fn quic(facts: &QuicFacts, o: &mut Object<'_>) {
    o.string("version", &facts.version.to_string());
    if let Some(first) = facts.first_version {
        o.string("first_version", &first.to_string());
    }
    o.boolean("retry", facts.retry.is_some());
    o.boolean("early_data", facts.early_data.is_some());
    if let Some(Seen { value: versions, .. }) = &facts.negotiation {
        o.array("server_versions", versions, |version, out| string(&version.to_string(), out));
    }
    if let Some(close) = &facts.close {
        o.object("close", |o| {
            o.word("from", close.value.from.word());
            o.unsigned("code", close.value.code);
            if !close.value.reason.is_empty() {
                o.string("says", &close.value.reason);
            }
        });
    }
    if facts.unopened > 0 {
        o.unsigned("unopened", facts.unopened.into());
    }
}
