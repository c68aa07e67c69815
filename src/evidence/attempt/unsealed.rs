//! What handshake messages that keys opened tell of an attempt, whatever carried them: each alone, and all at the end.

use super::flights::Flights;
use super::{Parse, messages};
use crate::base::{Packets, PerSide, Seen, Side};
use crate::evidence::decryption::Held;
use crate::evidence::{Evidence, Stage};
use crate::tls::codes::HandshakeType;
use crate::tls::keys::{Secrets, tls12, tls13};
use crate::tls::message::{self, CertificateRequest, CertificateVerify};

/// The messages of both sides, and what each side's Finished says.
#[derive(Debug, Default)]
pub(in crate::evidence) struct Unsealed {
    /// All messages up to each side's Finished, those in clear as well.
    pub(in crate::evidence) flights: Flights,
    /// `verify_data` as it was sent.
    finished: PerSide<Option<Seen<Vec<u8>>>>,
}

/// What tells which `verify_data` is right.
pub(in crate::evidence) enum By<'a> {
    /// The session of a handshake before TLS 1.3.
    Session(&'a tls12::Session),
    /// The secrets of a TLS 1.3 handshake.
    Secrets(&'a Secrets),
}

impl Unsealed {
    /// Notes an opened message, and keeps it up to its sender's Finished.
    pub(in crate::evidence) fn note(
        &mut self,
        e: &mut Evidence,
        from: Side,
        kind: HandshakeType,
        body: &[u8],
        at: &Packets,
    ) {
        e.decryption.note(from, at.last().unwrap_or_default(), Held::Message(kind));
        if !self.has_finished(from) {
            self.flights.add(from, kind, body);
        }
    }

    /// This side's Finished was opened.
    pub(in crate::evidence) fn has_finished(&self, from: Side) -> bool {
        self.finished.of(from).is_some()
    }

    /// Takes an opened Finished; the first of each side counts.
    pub(in crate::evidence) fn finish(&mut self, e: &mut Evidence, from: Side, body: &[u8], seen: Seen<()>) {
        e.sealing.finished.of_mut(from).get_or_insert(seen.clone());
        self.finished.of_mut(from).get_or_insert(seen.map(|()| body.to_vec()));
    }

    /// Takes an opened message of TLS 1.3. `limit`: most bytes of a certificate message that comes compressed.
    #[expect(clippy::too_many_arguments, reason = "one message with its citation")]
    pub(in crate::evidence) fn take13(
        &mut self,
        e: &mut Evidence,
        from: Side,
        kind: HandshakeType,
        body: &[u8],
        seen: Seen<()>,
        limit: usize,
        parser: &mut impl Parse,
    ) {
        let Some(version) = e.version() else { return };
        match kind {
            HandshakeType::CERTIFICATE => messages::certificate(e, from, version, body, seen, parser),
            HandshakeType::COMPRESSED_CERTIFICATE => match message::uncompressed_certificate(body, limit) {
                Some(body) => messages::certificate(e, from, version, &body, seen, parser),
                None => e.lost.malformed_messages += 1,
            },
            HandshakeType::CERTIFICATE_REQUEST if from == Side::Server => {
                if let Some(request) = CertificateRequest::parse(body, version) {
                    e.certificate_request = Some(Box::new(seen.map(|()| request)));
                }
            }
            HandshakeType::CERTIFICATE_VERIFY => {
                if let Some((scheme, signature)) = message::certificate_verify(body, version) {
                    let verify = CertificateVerify { scheme, signature: signature.to_vec(), signed: None };
                    let verify = Some(Box::new(seen.map(|()| verify)));
                    match from {
                        Side::Server => e.decryption.server_verify = verify,
                        Side::Client => e.certificate_verify = verify,
                    }
                }
            }
            HandshakeType::ENCRYPTED_EXTENSIONS if from == Side::Server => {
                if let Some(extensions) = message::encrypted_extensions(body)
                    && let Some(hello) = &mut e.server_hello
                {
                    hello.value.alpn = extensions.alpn.map(Into::into);
                }
            }
            HandshakeType::FINISHED => {
                self.finish(e, from, body, seen);
                if from == Side::Client {
                    e.stage = e.stage.max(Stage::Finished);
                }
            }
            _ => {}
        }
    }

    /// What the messages of both sides tell once all are there: what was signed, and whether each Finished is right. Nothing where
    /// one of them may be missing.
    pub(in crate::evidence) fn conclude(&self, e: &mut Evidence, by: &By<'_>) {
        let whole = e.lost.gap_bytes == 0 && e.lost.malformed_messages == 0 && e.decryption.failed == 0;
        let Some(hello) = e.server_hello.as_ref().filter(|_| whole) else { return };
        match by {
            By::Session(session) => self.judge(e, |side| {
                let data = session.verify_data(side, &self.flights.before_finished12(side)?)?;
                Some(data.to_vec())
            }),
            By::Secrets(secrets) => {
                let Some(hash) = tls13::Hash::of(hello.value.cipher) else { return };
                self.sign13(e, hash);
                self.judge(e, |side| {
                    let secret = match side {
                        Side::Client => &secrets.client_handshake,
                        Side::Server => &secrets.server_handshake,
                    };
                    let transcript = self.flights.hash_before13(hash, side, HandshakeType::FINISHED)?;
                    tls13::verify_data(hash, secret.as_ref()?, &transcript)
                });
            }
        }
    }

    /// What each CertificateVerify of TLS 1.3 signs.
    fn sign13(&self, e: &mut Evidence, hash: tls13::Hash) {
        let signed = |side| {
            let hash = self.flights.hash_before13(hash, side, HandshakeType::CERTIFICATE_VERIFY)?;
            Some(tls13::signed_content(side == Side::Server, &hash))
        };
        // Asked first, since to write what few attempts have makes room for it.
        if e.decryption.server_verify.is_some()
            && let Some(verify) = &mut e.decryption.server_verify
        {
            verify.value.signed = signed(Side::Server);
        }
        if let Some(verify) = &mut e.certificate_verify {
            verify.value.signed = signed(Side::Client);
        }
    }

    /// Whether each side's Finished says what it has to, where that is known.
    fn judge(&self, e: &mut Evidence, right: impl Fn(Side) -> Option<Vec<u8>>) {
        for side in [Side::Client, Side::Server] {
            let Some(finished) = self.finished.of(side) else { continue };
            if let Some(right) = right(side) {
                let seen = finished.clone().map(|said| said == right);
                *e.decryption.finished.of_mut(side) = Some(seen);
            }
        }
    }
}
