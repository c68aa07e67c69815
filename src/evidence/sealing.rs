//! What a connection shows once its records are sealed.

use super::{Evidence, Transport};
use crate::base::{Blank, PerSide, Seen};
use crate::tls::cert::Certificate;
use crate::tls::sealed::{Reading, Records, Setting};
use std::sync::Arc;

/// What was seen of the close of the handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealing {
    /// ChangeCipherSpec by each side.
    pub ccs: PerSide<Option<Seen<()>>>,
    /// The first sealed records of each side, in order (bounded).
    pub records: PerSide<Records>,
    /// Of the server's bytes, how many the client had acknowledged, and how many had been captured, when it sent its first
    /// sealed alert (TLS 1.2 and older).
    pub alert_behind: Option<(u64, u64)>,
    /// The server's bytes captured before the segment that completed its Finished (TLS 1.2 and older).
    pub finished_behind: Option<u64>,
    /// Whether each side's Finished was sent, as far as sizes and order tell.
    pub finished: PerSide<Option<Seen<()>>>,
    /// Application data by each side behind the handshake (bytes of sealed records that are neither
    /// Finished, alert nor ticket, as far as sizes and order tell).
    pub application: PerSide<u64>,
}

impl Blank for Sealing {
    const BLANK: &'static Self = &Self {
        ccs: PerSide { client: None, server: None },
        records: PerSide { client: Records::new_const(), server: Records::new_const() },
        alert_behind: None,
        finished_behind: None,
        finished: PerSide { client: None, server: None },
        application: PerSide { client: 0, server: 0 },
    };
}

impl Evidence {
    /// What the sealed records of TLS 1.3 likely hold; `None` where there are none, the suite is not known, or they
    /// came in datagrams.
    pub fn sealed_reading(&self) -> Option<Reading> {
        // Messages over datagrams have other headers.
        if self.transport != Transport::Tcp {
            return None;
        }
        let hello = self.server_hello.as_ref()?;
        let early_data = self.hello.as_ref().is_some_and(|hello| hello.value.early_data);
        let (suite, version, psk) = (hello.value.cipher, hello.value.version, hello.value.psk);
        Reading::of(&self.sealing.records, &Setting { suite, version, psk, early_data, answered: hello.when })
    }

    /// The client's certificates: in clear, or those of which a sealed record has the size.
    pub fn known_client_chain(&self) -> Option<&Seen<Vec<Arc<Certificate>>>> {
        let known = self.around.client_shown_before.as_ref().map(|before| &before.chain);
        self.client_chain.clear().or(known)
    }
}
