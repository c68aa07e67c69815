//! Says what datagrams of DTLS hold, for a ladder of packets.

use crate::base::Side;
use crate::decode::Datagram;
use crate::tls::codes::{AlertDescription, HandshakeType};
use crate::tls::dtls::{Fragments, HELLO_VERIFY_REQUEST, Records};

/// Says what datagrams hold.
#[derive(Debug, Default)]
pub struct Teller {}

impl Teller {
    /// What one datagram holds, such as `ClientHello` or `Certificate (part)`.
    pub(in super::super) fn say(&mut self, datagram: &Datagram<'_>, _from: Side) -> Vec<String> {
        let mut said = Vec::new();
        for record in Records::of(datagram.payload) {
            match (record.epoch, record.content_type) {
                (0, 22) => said.extend(Fragments::of(&record).map(|fragment| {
                    let name = name(fragment.kind);
                    let part = fragment.body.len() < fragment.len;
                    if part { format!("{name} (part)") } else { name }
                })),
                (0, 21) => said.push(match record.body {
                    &[_, code] => {
                        let name = AlertDescription(code).name().unwrap_or("alert");
                        format!("Alert {name} ({code})")
                    }
                    _ => "Alert".to_owned(),
                }),
                (_, 20) => said.push("ChangeCipherSpec".to_owned()),
                (_, kind) => said.push(format!("{} {} B", sealed(kind), record.len)),
            }
        }
        match datagram.payload.first() {
            Some(0..=3) if said.is_empty() => said.push("STUN".to_owned()),
            Some(128..=191) if said.is_empty() => said.push("RTP".to_owned()),
            _ => {}
        }
        said
    }
}

fn name(kind: HandshakeType) -> String {
    match kind.name() {
        _ if kind == HELLO_VERIFY_REQUEST => "HelloVerifyRequest".to_owned(),
        Some(name) => name.to_owned(),
        None => format!("message {}", kind.0),
    }
}

/// A sealed record by its outer type.
const fn sealed(content_type: u8) -> &'static str {
    match content_type {
        21 => "sealed alert",
        22 => "sealed handshake",
        23 => "application data",
        _ => "sealed",
    }
}
