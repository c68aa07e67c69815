//! What a running analysis takes over without a pause: other roots, other ports, another filter.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::shard::Ports;
use crate::tls::trust::Trust;

/// What can be renewed.
#[derive(Clone)]
pub struct Renewed {
    /// Roots, for what is judged from now on.
    pub trust: Arc<Trust>,
    /// Ports, for connections that begin from now on.
    pub ports: Arc<Ports>,
    /// A filter that is known to compile.
    pub filter: Option<String>,
}

/// Where it is offered. Every thread looks once a batch, which costs one load of a number.
#[derive(Default)]
pub struct Renewal {
    generation: AtomicU64,
    newest: Mutex<Option<Renewed>>,
}

impl Renewal {
    /// Offers something newer.
    pub fn offer(&self, renewed: Renewed) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(renewed);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// What was offered since generation `seen`, which becomes that.
    pub fn newer(&self, seen: &mut u64) -> Option<Renewed> {
        let generation = self.generation.load(Ordering::Acquire);
        if generation == *seen {
            return None;
        }
        *seen = generation;
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_offer_is_taken_once_by_each_thread() {
        let renewal = Renewal::default();
        let (mut one, mut other) = (0, 0);
        assert!(renewal.newer(&mut one).is_none());
        for port in [443, 8443] {
            let ports = Arc::new(Ports::new(&[port]));
            renewal.offer(Renewed { trust: Arc::new(Trust::empty("none")), ports, filter: None });
            assert!(renewal.newer(&mut one).is_some_and(|newer| newer.ports.contains(port)));
            assert!(renewal.newer(&mut one).is_none());
        }
        assert!(renewal.newer(&mut other).is_some_and(|newer| newer.ports.contains(8443)));
        assert!(renewal.newer(&mut other).is_none());
    }
}
