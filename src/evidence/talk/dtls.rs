//! DTLS's part of an attempt over datagrams.

use super::{Beginning, Place, Step};
use crate::base::{Limits, Side, Span, Stamp};
use crate::decode::Datagram;
use crate::evidence::Evidence;
use crate::evidence::attempt::Parse;

/// Reads the datagrams of one attempt.
#[derive(Debug)]
pub struct Reader {}

/// Whether this datagram begins an attempt.
pub(super) fn begin(_datagram: &Datagram<'_>) -> Option<Beginning> {
    None
}

impl Reader {
    /// Takes one datagram. Nothing is noted of one that is another's or none of ours.
    pub(super) fn datagram(
        &mut self,
        _evidence: &mut Evidence,
        _datagram: &Datagram<'_>,
        _from: Side,
        _place: Place,
        _limits: &Limits,
        _parser: &mut impl Parse,
    ) -> Step {
        Step::NotOurs
    }

    /// How long to wait for the next datagram before the attempt is taken as it stands.
    pub(super) fn patience(&self, _evidence: &Evidence, limits: &Limits) -> Span {
        limits.stall
    }

    /// Writes how it ended; whether it counts as an attempt.
    pub(super) fn close(
        self,
        _evidence: &mut Evidence,
        _now: Stamp,
        _capture_ended: bool,
        _limits: &Limits,
        _parser: &mut impl Parse,
    ) -> bool {
        false
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        0
    }
}

/// Says what datagrams hold.
#[derive(Debug, Default)]
pub struct Teller {}

impl Teller {
    /// What one datagram holds.
    pub(super) fn say(&mut self, _datagram: &Datagram<'_>, _from: Side) -> Vec<String> {
        vec!["DTLS".to_owned()]
    }
}
