//! Attempts with certificates, built for tests of causes.

use crate::base::{Addr, Endpoint, PacketNo, Packets, Seen, Side, Stamp};
use crate::evidence::{AlertFrom, Chain, Ending, Evidence, Outcome, Stage};
use crate::tls::cert::Certificate;
use crate::tls::chain::{Defect, Fault};
use crate::tls::codes::{AlertDescription, AlertLevel, Version};
use crate::tls::hello::{ClientHello, Offer, ServerHello};
use crate::tls::message::{Alert, CertificateRequest};
use std::sync::Arc;

/// When fixtures happen.
pub const NOW: Stamp = Stamp::from_secs(1_790_000_000);

/// A fact at packet `no`.
pub fn seen<T>(value: T, no: u64) -> Seen<T> {
    Seen::new(value, PacketNo(no), NOW)
}

/// A failed attempt up to the server's flight: hello in packet 4, the server's certificate in
/// packet 6, in clear on TLS 1.2, without a defect; it ends in silence.
pub fn attempt() -> Evidence {
    let offer = Arc::new(Offer { status_request: true, ..Offer::default() });
    let hello = ClientHello { sni: Some("www.example.com".into()), offer, ..ClientHello::default() };
    let server_hello = ServerHello { version: Version::TLS12, ..ServerHello::default() };
    let client = Endpoint { addr: Addr::v4([10, 0, 0, 2]), port: 40_000 };
    let server = Endpoint { addr: Addr::v4([192, 0, 2, 1]), port: 443 };
    Evidence {
        last: PacketNo(9),
        outcome: Outcome::Failed,
        stage: Stage::Certificate,
        ending: seen(Ending::CaptureEnded, 9),
        hello: Some(seen(hello, 4).into()),
        server_hello: Some(seen(server_hello, 6).into()),
        chain: Chain::Clear(seen(vec![Arc::new(Certificate::parse(&[]))], 6)),
        server_hello_done: Some(seen((), 6)),
        ..Evidence::new(client, server, PacketNo(1), NOW)
    }
}

/// Changes that read as what happened.
pub trait Then: Sized {
    /// The server's chain has these defects.
    fn with(self, faults: &[Fault]) -> Self;
    /// The certificate is behind TLS 1.3.
    fn sealed(self) -> Self;
    /// `from` sends a fatal alert in packet 8.
    fn alert(self, from: Side, code: u8) -> Self;
    /// It ends like this in packet 8.
    fn ends(self, ending: Ending) -> Self;
    /// The server asked for a client certificate, and this many came, with these defects.
    fn client_shows(self, certificates: usize, faults: &[Fault]) -> Self;
}

fn defects(faults: &[Fault]) -> Vec<Defect> {
    faults.iter().map(|&fault| Defect { fault, cert: Some(0), says: format!("{fault:?}") }).collect()
}

impl Then for Evidence {
    fn with(mut self, faults: &[Fault]) -> Self {
        self.defects = defects(faults).into();
        self
    }

    fn sealed(mut self) -> Self {
        self.chain = Chain::Sealed(Packets::one(PacketNo(6)));
        if let Some(hello) = &mut self.server_hello {
            hello.value.version = Version::TLS13;
        }
        self
    }

    fn alert(mut self, from: Side, code: u8) -> Self {
        let alert = Alert { level: AlertLevel::FATAL, description: AlertDescription(code) };
        self.alerts.push(seen(AlertFrom { from, alert, sealed: false }, 8));
        self.ends(Ending::Alert { from, alert })
    }

    fn ends(mut self, ending: Ending) -> Self {
        self.ending = seen(ending, 8);
        self
    }

    fn client_shows(mut self, certificates: usize, faults: &[Fault]) -> Self {
        self.certificate_request = Some(seen(CertificateRequest::default(), 6).into());
        let shown = (0..certificates).map(|_| Arc::new(Certificate::parse(&[]))).collect();
        self.client_chain = Chain::Clear(seen(shown, 7));
        self.client_key_exchange = Some(seen((), 7));
        self.client_defects = defects(faults).into();
        self
    }
}
