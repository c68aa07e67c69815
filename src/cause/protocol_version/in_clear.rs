//! A request for TLS in clear that the server does not know.

use super::{Certainty, Finding, Judgement, Party};
use crate::evidence::Evidence;
use crate::evidence::upgrade::Why;

/// The client asked for TLS in clear, and the server does not know what that is.
pub(super) fn refused(e: &Evidence, said: &str) -> Judgement {
    let Some(upgrade) = e.upgrade.as_deref() else { return Judgement::Absent };
    match upgrade.why() {
        Some(Why::Unsupported) => {}
        Some(Why::OtherWay) => {
            let says = format!("the server refuses TLS alone with \"{said}\"");
            return Judgement::Found(
                Finding::new(Certainty::Inferred, "credssp_required", Party::Client, &e.ending.at, says)
                    .and(&upgrade.asked.at, "the client offered TLS without CredSSP"),
            );
        }
        Some(Why::Unclear) => return Judgement::Blind("the server's words do not say why it refuses TLS"),
        _ => return Judgement::Absent,
    }
    // A server that lists TLS and then does not know it contradicts itself, or something between changes its words.
    let certainty = if upgrade.offered == Some(true) { Certainty::Suspected } else { Certainty::Inferred };
    let says = format!("the server refuses TLS with \"{said}\"");
    Judgement::Found(
        Finding::new(certainty, "plain_text_peer", Party::Server, &e.ending.at, says)
            .and(&upgrade.asked.at, format!("the client asked for TLS in {}", upgrade.protocol.word())),
    )
}
