//! Where one side's TLS begins, at once or behind a prelude in clear, and what that was.

use super::unsealing::Unsealing;
use super::{Attempt, Parse, Reading};
use crate::base::{Limits, PacketNo, Side};
use crate::tls::record::Inbound;

impl Attempt {
    /// What one side sends from here on is TLS.
    pub(super) fn turn_to_tls(&mut self, from: Side, no: PacketNo, limits: &Limits, parser: &mut impl Parse) {
        *self.reading.of_mut(from) = Reading::Tls(Box::new(Inbound::new(limits.bytes_per_side)));
        if let Some(keys) = parser.keys().filter(|keys| keys.are_there(no)) {
            self.unsealing.get_or_insert_with(|| Box::new(Unsealing::new(keys.clone(), limits)));
            for reading in [&mut self.reading.client, &mut self.reading.server] {
                if let Reading::Tls(inbound) = reading {
                    inbound.keep_sealed();
                }
            }
        }
    }

    /// Names what came in clear before TLS.
    pub(super) fn name_prelude(&mut self) {
        let clear = !self.first_bytes.client.is_empty() || !self.first_bytes.server.is_empty();
        if clear && self.evidence.hello.is_some() && matches!(self.reading.client, Reading::Tls(_)) {
            self.evidence.prelude =
                crate::evidence::prelude::name(&self.first_bytes.client, &self.first_bytes.server);
        }
        if let Some(upgrade) = &self.evidence.upgrade {
            self.evidence.prelude = Some(upgrade.protocol);
        }
    }
}
