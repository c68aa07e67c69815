//! Pauses of a connection, and answers that are for another one.

use crate::base::Span;

/// What an acknowledgment of another connection on the same addresses and ports says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The byte that it asks for.
    pub asks: u32,
    /// How far its echo of that connection's timestamps is ahead of the SYN's own.
    pub ahead: Option<Span>,
}

/// A time in which neither side sent anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// From the last packet to the client's bytes.
    pub lasted: Span,
    /// Something but a reset came from the server behind them.
    pub answered: bool,
}

impl Pause {
    /// Shorter ones no device forgets a connection for: they are not noted.
    pub const SHORTEST: Span = Span::from_secs(5);
    /// Behind longer ones a translator may have been restarted, or its table flushed, without anything of the connection
    /// to show it. Clients that wait for nothing say hello sooner.
    pub const AT_ONCE: Span = Span::from_millis(100);
}
