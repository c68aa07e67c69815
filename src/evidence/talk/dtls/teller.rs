//! Says what datagrams of DTLS hold, for a ladder of packets.

use crate::base::Side;
use crate::decode::Datagram;
use crate::tls::dtls::messages::{Fragment, fragments};
use crate::tls::dtls::{self, Form, Record, records};

/// Says what datagrams hold.
#[derive(Debug, Default)]
pub struct Teller {}

impl Teller {
    /// What one datagram holds, such as `ServerHello`, `part of Certificate (0 to 1186 of 2310)`, `sealed handshake, 40 B`.
    pub(in super::super) fn say(&mut self, datagram: &Datagram<'_>, _from: Side) -> Vec<String> {
        let payload = dtls::payload(datagram.payload);
        match payload.first() {
            Some(0..=3) => vec!["STUN".to_owned()],
            Some(128..=191) => vec!["media".to_owned()],
            _ => records(payload, None).flat_map(|record| record_words(&record)).collect(),
        }
    }
}

fn record_words(record: &Record<'_>) -> Vec<String> {
    let what = match (record.form, record.content_type) {
        (Form::Unified, _) => format!("sealed, epoch {}", record.epoch),
        (_, 20) => "ChangeCipherSpec".to_owned(),
        (_, 21) if record.epoch == 0 => match dtls::alert(record.body) {
            Some(alert) => format!("alert {}", alert.description),
            None => "alert".to_owned(),
        },
        (_, 22) if record.epoch == 0 => {
            return fragments(record.body).map(|part| fragment_words(&part)).collect();
        }
        (_, 21) => "sealed alert".to_owned(),
        (_, 22) => "sealed handshake".to_owned(),
        (_, 23) => "application data".to_owned(),
        (_, 25) => "sealed, with a connection ID".to_owned(),
        (_, 26) => "ACK".to_owned(),
        (_, other) => format!("record of type {other}"),
    };
    let sealed = record.epoch > 0 && record.content_type != 20;
    vec![if sealed { format!("{what}, {} B", record.len) } else { what }]
}

fn fragment_words(part: &Fragment<'_>) -> String {
    let (from, to, whole) = (part.offset, part.offset + part.len, part.whole);
    if part.len == whole {
        part.kind.to_string()
    } else {
        format!("part of {} ({from} to {to} of {whole})", part.kind)
    }
}
