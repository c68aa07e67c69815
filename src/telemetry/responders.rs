//! What was asked about revocation, and how long answers took.

use super::latency::Stage;
use crate::base::Span;
use crate::event::Statuses;
use crate::evidence::around::StatusExchange;

/// Counts requests for revocation status.
#[derive(Clone, Debug, Default)]
pub struct Responders {
    counts: Statuses,
    took: Stage,
}

impl Responders {
    /// Counts one.
    pub fn add(&mut self, exchange: &StatusExchange) {
        self.counts.exchanges += 1;
        self.counts.lists += u64::from(exchange.crl().is_some());
        if let Some(took) = exchange.took_us {
            self.counts.answered += 1;
            self.took.record(Span(took));
        }
    }

    /// All of them.
    pub fn sum(&self) -> Statuses {
        Statuses { took: self.took.spread(), ..self.counts }
    }
}
