//! `dtls`: what DTLS shows beside the messages of TLS in it.

use super::json::Object;
use crate::base::Side;
use crate::evidence::DtlsFacts;
use crate::evidence::Evidence;

/// Writes the members of `dtls`.
pub(super) fn dtls(evidence: &Evidence, facts: &DtlsFacts, o: &mut Object<'_>) {
    o.boolean("verify_request", facts.verify.is_some());
    o.boolean("connection_id", facts.ids);
    o.boolean("srtp", evidence.by_fingerprint());
    o.boolean("stun", facts.stun);
    let again = |side: Side| evidence.tcp.repeats.of(side).as_ref().map_or(0, |repeats| repeats.value);
    o.object("flights_again", |o| {
        o.unsigned("client", again(Side::Client).into());
        o.unsigned("server", again(Side::Server).into());
    });
}
