//! What the units read from a direction mean for the attempt.

use super::{Attempt, Parse, Reading};
use crate::base::{Packets, Seen, Side, Stamp};
use crate::evidence::{AlertFrom, Chain, Evidence, Stage, outcome};
use crate::tls::codes::{CipherSuite, HandshakeType, Kx, Version};
use crate::tls::hello::{ClientHello, ServerHello};
use crate::tls::message::{self, CertificateRequest, CertificateVerify, ServerKeyExchange};
use crate::tls::record::{Read, Unit};
use crate::tls::sealed::{SealedRecord, looks_like_alert};

use super::lane::Record;

impl Attempt {
    pub(super) fn suite(&self) -> (CipherSuite, Version) {
        self.evidence
            .server_hello
            .as_ref()
            .map_or((CipherSuite(0), Version(0)), |hello| (hello.value.cipher, hello.value.version))
    }

    pub(super) fn reach(&mut self, stage: Stage) {
        self.evidence.stage = self.evidence.stage.max(stage);
    }

    /// Takes one thing read from a direction.
    pub(in crate::evidence) fn unit(&mut self, from: Side, read: Read<'_>, parser: &mut impl Parse) {
        let Read { unit, at, when } = read;
        let at = at.anew();
        match unit {
            Unit::Handshake { kind, record_version, body } => {
                self.message(from, kind, record_version, &body, at, when, parser);
            }
            Unit::Sslv2ClientHello { body } => {
                if let Some(hello) = ClientHello::parse_sslv2(&body) {
                    if self.evidence.hello.is_none() {
                        self.transcript.begin_sslv2(&body);
                    }
                    self.evidence.hello.get_or_insert_with(|| Box::new(Seen { value: hello, at, when }));
                    self.reach(Stage::ClientHello);
                }
            }
            Unit::Alert(alert) => {
                let seen = Seen { value: (), at, when };
                self.ended_by_sign |= self.evidence.alert(AlertFrom { from, alert, sealed: false }, seen);
            }
            Unit::ChangeCipherSpec => {
                self.transcript.end();
                self.evidence.sealing.ccs.of_mut(from).get_or_insert(Seen { value: (), at, when });
            }
            Unit::Sealed { content_type, len } => {
                if let Some(unsealing) = &mut self.unsealing {
                    unsealing.pass(from);
                }
                let heard = self.note_sealed(from, content_type, len, &at, when);
                self.shape(Sealed { from, content_type, len, when, heard }, &at);
            }
            Unit::Kept { content_type, version, body } => {
                let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
                let heard = self.note_sealed(from, content_type, len, &at, when);
                self.kept(Record { from, content_type, version, body, at, when, heard });
                self.unseal(false, parser);
            }
            Unit::Malformed(_) => self.evidence.lost.malformed_messages += 1,
            Unit::NotTls => {
                let reading = self.reading.of_mut(from);
                if self.evidence.lost.gap_bytes == 0 {
                    self.evidence.lost.malformed_messages += 1;
                }
                *reading = Reading::Other;
            }
            Unit::Gap { .. } => {
                if let Some(unsealing) = &mut self.unsealing {
                    unsealing.gap(from);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one message with its citation")]
    pub(super) fn message(
        &mut self,
        from: Side,
        kind: HandshakeType,
        record_version: Version,
        body: &[u8],
        at: Packets,
        when: Stamp,
        parser: &mut impl Parse,
    ) {
        let (_, version) = self.suite();
        let seen = Seen { value: (), at, when };
        if let Some(unsealing) = &mut self.unsealing {
            unsealing.unsealed.flights.add(from, kind, body);
        }
        let evidence = &mut *self.evidence;
        if evidence.server_hello.is_some() && kind != HandshakeType::CERTIFICATE_VERIFY {
            self.transcript.add(from, kind, body);
        }
        match (from, kind) {
            (Side::Client, HandshakeType::CLIENT_HELLO) => {
                // The first one counts, or the second where the server asked for another; a renegotiation in
                // clear repeats it behind a ServerHello. A capture may store the answer before the question.
                if (evidence.hello.is_none() || (evidence.retry.is_some() && evidence.server_hello.is_none()))
                    && let Some(hello) = parser.client_hello(record_version, body)
                {
                    evidence.hello = Some(Box::new(seen.map(|()| hello)));
                    self.transcript.begin(body);
                    self.reach(Stage::ClientHello);
                }
            }
            (Side::Server, HandshakeType::SERVER_HELLO) => {
                if let Some(hello) = ServerHello::parse(body) {
                    if hello.retry && evidence.retry.is_none() {
                        evidence.retry = Some(Box::new(seen.map(|()| hello)));
                    } else if !hello.retry && evidence.server_hello.is_none() {
                        if hello.version.is_tls13() {
                            self.transcript.end();
                        } else {
                            self.transcript.add(from, kind, body);
                        }
                        if hello.version.is_tls13() && !hello.psk {
                            evidence.chain = Chain::Sealed(seen.at.clone());
                        }
                        evidence.server_hello = Some(Box::new(seen.map(|()| hello)));
                        self.reach(Stage::ServerHello);
                    }
                }
            }
            (Side::Server, HandshakeType::SERVER_HELLO_DONE) => {
                evidence.server_hello_done = Some(seen);
                if evidence.certificate_request.is_none() {
                    self.transcript.end();
                }
            }
            (Side::Client, HandshakeType::CERTIFICATE_VERIFY) => {
                // What the capture lost is in the signature, but not here.
                let whole = evidence.lost.gap_bytes == 0 && evidence.lost.malformed_messages == 0;
                let signed = self.transcript.take().filter(|_| whole);
                if let Some((scheme, signature)) = message::certificate_verify(body, version) {
                    let verify = CertificateVerify { scheme, signature: signature.to_vec(), signed };
                    evidence.certificate_verify = Some(Box::new(seen.map(|()| verify)));
                }
            }
            _ => clear(evidence, from, kind, body, seen, parser),
        }
    }

    /// Notes a sealed record. Whether its receiver was still there.
    fn note_sealed(&mut self, from: Side, content_type: u8, len: u16, at: &Packets, when: Stamp) -> bool {
        // What a server says to a client that has left, or said goodbye, does not show that the connection was of use
        // (HAProxy sends 408).
        let left =
            self.evidence.tcp.sent_before_leave.is_some() || self.evidence.sealing.alert_behind.is_some();
        let heard = from == Side::Client || !left;
        if from == Side::Client && content_type == 21 {
            let tcp = &self.evidence.tcp;
            let read = tcp.acked.client.unwrap_or(0);
            self.evidence.sealing.alert_behind.get_or_insert((read, tcp.bytes.server));
        }
        if from == Side::Server && content_type == 22 {
            self.evidence.sealing.finished_behind.get_or_insert(self.evidence.tcp.bytes.server);
        }
        let records = self.evidence.sealing.records.of_mut(from);
        if records.len() < 16 {
            records.push(SealedRecord { content_type, len, at: at.last().unwrap_or_default(), when });
        }
        heard
    }

    /// What the place and size of a sealed record tell (see the sizes in `tls::sealed`).
    pub(super) fn shape(&mut self, record: Sealed, at: &Packets) {
        let Sealed { from, content_type, len, when, heard } = record;
        let (cipher, version) = self.suite();
        let tls13 = version.is_tls13();
        let hello_answered = self.evidence.server_hello.is_some();
        let early_data = self.evidence.hello.as_ref().is_some_and(|hello| hello.value.early_data);
        let sealing = &mut *self.evidence.sealing;
        let seen = || Seen { value: (), at: at.clone(), when };
        if tls13 {
            let alert = looks_like_alert(len, cipher, version);
            match from {
                Side::Server if sealing.finished.client.is_none() => {
                    // The server's flight; where it ends cannot be told, its Finished is in it.
                    sealing.finished.server = Some(seen());
                    self.reach(Stage::Certificate);
                }
                Side::Server => {
                    if !alert && heard {
                        sealing.application.server += u64::from(len);
                    }
                }
                Side::Client if !hello_answered => {} // early data
                Side::Client if sealing.finished.client.is_none() => {
                    // An empty Certificate (25 B) and EndOfEarlyData (21 B) come before Finished.
                    let before_finished = len <= 25 && (early_data || len == 25);
                    let is_early =
                        early_data && !crate::tls::sealed::looks_like_finished(len, cipher, version);
                    if !alert && !before_finished && !is_early {
                        sealing.finished.client = Some(seen());
                        self.reach(Stage::Finished);
                    }
                }
                Side::Client => {
                    if !alert {
                        sealing.application.client += u64::from(len);
                    }
                }
            }
        } else {
            match content_type {
                22 => {
                    sealing.finished.of_mut(from).get_or_insert_with(seen);
                    self.reach(Stage::Finished);
                }
                23 if heard => *sealing.application.of_mut(from) += u64::from(len),
                _ => {}
            }
        }
        if outcome::carries_data(&self.evidence) {
            self.reach(Stage::Application);
        }
    }
}

/// What is told of a sealed record without its bytes.
#[derive(Clone, Copy)]
pub(super) struct Sealed {
    pub from: Side,
    pub content_type: u8,
    pub len: u16,
    pub when: Stamp,
    /// Its receiver had not left yet.
    pub heard: bool,
}

/// A message in clear behind the hellos that says the same whatever carried it.
pub(in crate::evidence) fn clear(
    evidence: &mut Evidence,
    from: Side,
    kind: HandshakeType,
    body: &[u8],
    seen: Seen<()>,
    parser: &mut impl Parse,
) {
    let (cipher, version) = evidence
        .server_hello
        .as_ref()
        .map_or((CipherSuite(0), Version(0)), |hello| (hello.value.cipher, hello.value.version));
    match (from, kind) {
        // SM9 has identities and parameters instead (GB/T 38636 section 6.4.5.3).
        (Side::Server, HandshakeType::CERTIFICATE) if cipher.kx() == Kx::SmIdentity => {
            evidence.stage = evidence.stage.max(Stage::Certificate);
        }
        (_, HandshakeType::CERTIFICATE) => certificate(evidence, from, version, body, seen, parser),
        (Side::Server, HandshakeType::SERVER_KEY_EXCHANGE) => {
            if let Some(exchange) = ServerKeyExchange::parse(body, version, cipher) {
                evidence.key_exchange = Some(Box::new(seen.map(|()| exchange)));
            }
        }
        (Side::Server, HandshakeType::CERTIFICATE_REQUEST) => {
            if let Some(request) = CertificateRequest::parse(body, version) {
                evidence.certificate_request = Some(Box::new(seen.map(|()| request)));
            }
        }
        (Side::Server, HandshakeType::CERTIFICATE_STATUS) => {
            for (place, answer) in message::further_statuses(body) {
                if let Some(response) = crate::tls::ocsp::Response::read(answer) {
                    evidence.further_staples.push((place, response));
                }
            }
            if let Some(response) =
                message::certificate_status(body).and_then(crate::tls::ocsp::Response::read)
            {
                evidence.staple = Some(Box::new(seen.map(|()| response)));
            }
        }
        (Side::Server, HandshakeType::SERVER_HELLO_DONE) => evidence.server_hello_done = Some(seen),
        (Side::Client, HandshakeType::CLIENT_KEY_EXCHANGE) => {
            evidence.client_key_exchange = Some(seen);
            evidence.stage = evidence.stage.max(Stage::KeyExchange);
        }
        _ => {}
    }
}

/// A Certificate message, in clear or opened.
pub(in crate::evidence) fn certificate(
    evidence: &mut Evidence,
    from: Side,
    version: Version,
    body: &[u8],
    seen: Seen<()>,
    parser: &mut impl Parse,
) {
    let list = if version.is_tls13() { message::certificates13(body) } else { message::certificates(body) };
    let Some(list) = list else {
        evidence.lost.malformed_messages += 1;
        return;
    };
    let mut chain: Vec<_> = list.ders.iter().map(|der| parser.certificate(der)).collect();
    if list.cut {
        if let Some(partial) = list.partial {
            chain.push(parser.certificate(partial));
        }
        evidence.lost.malformed_messages += 1;
    }
    if from == Side::Server
        && let Some(response) = list.staple.and_then(crate::tls::ocsp::Response::read)
    {
        evidence.staple = Some(Box::new(seen.clone().map(|()| response)));
    }
    let chain = Chain::Clear(seen.map(|()| chain));
    match from {
        Side::Server => {
            evidence.chain = chain;
            evidence.stage = evidence.stage.max(Stage::Certificate);
        }
        Side::Client => evidence.client_chain = chain,
    }
}
