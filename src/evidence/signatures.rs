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
        self.verify_server_certificate_verify();
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
        signed.maker(
            presented.chain(earlier.flat_map(|shown| shown.value.iter().map(|cert| (cert, &shown.at)))),
        )
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

#[cfg(test)]
mod tests {
    use super::super::Chain;
    use super::super::fixture::{greeted, seen};
    use super::*;
    use crate::tls::cert::forge::{Forge, Key};
    use crate::tls::hello::ServerHello;
    use crate::tls::message::{CertificateVerify, ServerKeyExchange};

    const SCHEME: Option<SignatureScheme> = Some(SignatureScheme(0x0403));

    /// TLS 1.2 with the parameters signed by this key, under a leaf with that one; another certificate beside it.
    fn exchange(by: &Key, leaf: &Key, beside: &Key) -> Evidence {
        let mut e = greeted();
        let server = ServerHello { version: Version::TLS12, random: [2; 32], ..ServerHello::default() };
        let client = e.hello.as_ref().unwrap().value.random;
        let params = b"\x03\x00\x1d\x20 and a point".to_vec();
        let signature = by.sign(&[&client[..], &server.random, &params].concat());
        e.server_hello = Some(seen(server, 6, 40).into());
        let exchange =
            ServerKeyExchange { params, scheme: SCHEME, signature, ..ServerKeyExchange::default() };
        e.key_exchange = Some(seen(exchange, 7, 40).into());
        let cert = |name: &str, key: &Key| Forge::leaf(name, "CA").sign(key, key);
        e.chain = Chain::Clear(seen(vec![cert("a.example", leaf), cert("b.example", beside)], 6, 40));
        e.verify_signatures();
        e
    }

    #[test]
    fn a_signature_over_an_encryption_certificate_that_was_not_presented_is_left_open() {
        let (own, other) = (Key::new(), Key::new());
        let mut e = exchange(&own, &own, &other);
        e.server_hello.as_mut().unwrap().value.version = Version::TLCP;
        e.key_exchange.as_mut().unwrap().value.params.clear();
        if let Chain::Clear(chain) = &mut e.chain {
            chain.value.truncate(1);
        }
        e.key_exchange_verdict = None;
        e.verify_signatures();
        let why = "no encryption certificate, which the signature covers";
        assert_eq!(e.key_exchange_verdict, Some(Verdict::Unsupported(why)));
    }

    fn another(maker: &Maker<'_>) -> Option<String> {
        match maker {
            Maker::Another(cert, _) => Some(cert.called()),
            _ => None,
        }
    }

    #[test]
    fn a_key_exchange_by_the_leafs_key_verifies() {
        let (own, other) = (Key::new(), Key::new());
        assert_eq!(exchange(&own, &own, &other).key_exchange_verdict, Some(Verdict::Good));
    }

    #[test]
    fn the_certificate_whose_key_signed_is_found_beside_the_leaf() {
        let (own, other) = (Key::new(), Key::new());
        let e = exchange(&other, &own, &other);
        assert_eq!(e.key_exchange_verdict, Some(Verdict::Bad));
        assert_eq!(another(&e.maker_of_key_exchange()).unwrap(), "CN=b.example");
    }

    #[test]
    fn the_certificate_whose_key_signed_is_found_in_an_earlier_handshake() {
        let (own, other, third) = (Key::new(), Key::new(), Key::new());
        let mut e = exchange(&other, &own, &third);
        assert_eq!(e.maker_of_key_exchange(), Maker::Unknown);
        let old = Forge::leaf("old.example", "CA").sign(&other, &other);
        e.around.shown_earlier = Some(seen(vec![old], 1, 0));
        assert_eq!(another(&e.maker_of_key_exchange()).unwrap(), "CN=old.example");
    }

    #[test]
    fn a_signature_longer_than_the_curve_allows_is_of_another_kind_of_key() {
        let (own, other) = (Key::new(), Key::new());
        let mut e = exchange(&own, &own, &other);
        let number = [&[2, 48][..], &[0x7f; 48]].concat();
        let signature = [&[0x30, 100][..], &number, &number].concat();
        e.key_exchange.as_mut().unwrap().value.signature = signature;
        assert_eq!(e.maker_of_key_exchange(), Maker::AnotherKind);
    }

    /// TLS 1.2 in which the client of this key signed `signed`.
    fn verify(by: &Key, leaf: &Key, signed: Option<&[u8]>) -> Evidence {
        let mut e = exchange(leaf, leaf, by);
        let signature = by.sign(b"the messages so far");
        let verify = CertificateVerify { scheme: SCHEME, signature, signed: signed.map(<[u8]>::to_vec) };
        e.certificate_verify = Some(seen(verify, 8, 60).into());
        e.client_chain = e.chain.clone();
        e.verify_signatures();
        e
    }

    #[test]
    fn a_clients_signature_covers_the_messages_before_it() {
        let (own, other) = (Key::new(), Key::new());
        let verdict = |e: Evidence| e.certificate_verify_verdict.unwrap();
        assert_eq!(verdict(verify(&own, &own, Some(b"the messages so far"))), Verdict::Good);
        assert_eq!(verdict(verify(&own, &own, Some(b"the messages"))), Verdict::Bad);
        assert!(matches!(verdict(verify(&own, &own, None)), Verdict::Unsupported(_)));
        let e = verify(&other, &own, Some(b"the messages so far"));
        assert_eq!(another(&e.maker_of_certificate_verify()).unwrap(), "CN=b.example");
    }
}
