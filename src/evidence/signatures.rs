//! What the two sides of a handshake signed: whether it verifies, and by whose key where it does not.

use super::Evidence;
use crate::base::Packets;
use crate::tls::cert::Certificate;
use crate::tls::codes::{SignatureScheme, Version};
use crate::tls::signature::{
    Verdict, is_by_key_of_handshake, is_of_another_size, signed_by_server, verify_certificate_verify,
    verify_handshake, verify_server_key_exchange,
};
use std::sync::Arc;

/// Whose key made a signature that does not verify by the key that it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maker<'a> {
    /// That very key, over other contents.
    Same,
    /// The key of another certificate; the packets that showed it.
    Another(&'a Arc<Certificate>, &'a Packets),
    /// A key of another kind or size.
    AnotherKind,
    /// Not to be told: the key is another, or it is damaged, or the signature is.
    Unknown,
}

/// A signature in a handshake, and what it should verify by.
struct Signed<'a> {
    version: Version,
    scheme: Option<SignatureScheme>,
    signature: &'a [u8],
    message: Vec<u8>,
    leaf: &'a Certificate,
}

impl Signed<'_> {
    /// Who made it, given other certificates that may have.
    fn maker<'a>(&self, others: impl Iterator<Item = (&'a Arc<Certificate>, &'a Packets)>) -> Maker<'a> {
        let Self { version, scheme, signature, message, leaf } = self;
        let key = &leaf.key;
        if is_by_key_of_handshake(*version, &key.spki, *scheme, signature) == Some(true) {
            return Maker::Same;
        }
        let mut others = others.filter(|(other, _)| other.key.spki != key.spki).take(Self::OTHERS);
        let by = |other: &Certificate| {
            verify_handshake(*version, &other.key.spki, *scheme, message, signature).holds()
        };
        match others.find(|(other, _)| by(other)) {
            Some((other, at)) => Maker::Another(other, at),
            None if is_of_another_size(*version, &key.spki, *scheme, signature) => Maker::AnotherKind,
            None => Maker::Unknown,
        }
    }

    /// Certificates that are tried.
    const OTHERS: usize = 8;
}

impl Evidence {
    /// Verifies what was signed in clear, once: the server's ephemeral parameters, and the handshake by the client.
    pub fn verify_signatures(&mut self) {
        if self.key_exchange_verdict.is_none()
            && let (Some(client), Some(server), Some(exchange), Some(chain)) =
                (&self.hello, &self.server_hello, &self.key_exchange, self.chain.clear())
            && !chain.value.is_empty()
            && !exchange.value.signature.is_empty()
        {
            let (client, server) = (&client.value.random, &server.value);
            self.key_exchange_verdict = Some(verify_server_key_exchange(
                server.version,
                client,
                &server.random,
                &exchange.value,
                &chain.value,
            ));
        }
        if self.certificate_verify_verdict.is_none()
            && let (Some(version), Some(verify), Some(chain)) =
                (self.version(), &self.certificate_verify, self.client_chain.clear())
            && let Some(leaf) = chain.value.first()
        {
            self.certificate_verify_verdict = Some(match &verify.value.signed {
                Some(signed) => verify_certificate_verify(version, leaf, &verify.value, signed),
                None => Verdict::Unsupported("not all signed messages were seen"),
            });
        }
    }

    /// Who signed the server's ephemeral parameters, which do not verify by the leaf's key.
    pub fn maker_of_key_exchange(&self) -> Maker<'_> {
        let (Some(client), Some(server), Some(exchange), Some(chain)) =
            (&self.hello, &self.server_hello, &self.key_exchange, self.chain.clear())
        else {
            return Maker::Unknown;
        };
        let Some(leaf) = chain.value.first() else { return Maker::Unknown };
        let (server, exchange) = (&server.value, &exchange.value);
        let signed = Signed {
            version: server.version,
            scheme: exchange.scheme,
            signature: &exchange.signature,
            message: signed_by_server(&client.value.random, &server.random, exchange, &chain.value),
            leaf,
        };
        let presented = chain.value.iter().skip(1).map(|cert| (cert, &chain.at));
        let earlier = self.around.shown_earlier.iter();
        signed.maker(presented.chain(earlier.flat_map(|shown| shown.value.iter().map(|cert| (cert, &shown.at)))))
    }

    /// Who signed the handshake for the client, which does not verify by the key of its certificate.
    pub fn maker_of_certificate_verify(&self) -> Maker<'_> {
        let (Some(version), Some(verify), Some(chain)) =
            (self.version(), &self.certificate_verify, self.client_chain.clear())
        else {
            return Maker::Unknown;
        };
        let (Some(leaf), Some(message)) = (chain.value.first(), &verify.value.signed) else {
            return Maker::Unknown;
        };
        let signed = Signed {
            version,
            scheme: verify.value.scheme,
            signature: &verify.value.signature,
            message: message.clone(),
            leaf,
        };
        signed.maker(chain.value.iter().skip(1).map(|cert| (cert, &chain.at)))
    }
}
