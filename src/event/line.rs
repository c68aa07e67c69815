//! An event as it waits to be printed.

use std::sync::Arc;

use crate::base::prefetch;

/// One event, a line of JSON. Pieces that come again and again (a server's certificates, what a program offers) lie beside its
/// own text, shared with the other events that have them: while some thousand events wait for their turn, each takes a third of
/// what it will be.
#[derive(Clone, Debug, Default)]
pub struct Line {
    own: Box<[u8]>,
    /// What is to be put in, and before which byte of its own text, in order.
    shared: Vec<Shared>,
}

/// A piece, and its place in a text that lacks it.
pub(super) type Shared = (u32, Arc<[u8]>);

impl Line {
    /// Of a text and what it lacks.
    #[inline]
    pub(super) fn new(own: &[u8], shared: Vec<Shared>) -> Self {
        Self { own: own.into(), shared }
    }

    /// Has its beginning fetched: what lies behind is read in order, which a processor foresees.
    #[inline]
    pub fn approach(&self) {
        const BEGINNING: usize = 512;
        self.own.iter().take(BEGINNING).step_by(64).for_each(prefetch);
        self.shared.iter().step_by(2).for_each(prefetch);
    }

    /// Appends it whole.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut rest = &*self.own;
        let mut written = 0;
        for (place, piece) in &self.shared {
            let (own, behind) = rest.split_at_checked(*place as usize - written).unwrap_or((rest, &[]));
            out.extend_from_slice(own);
            out.extend_from_slice(piece);
            (rest, written) = (behind, *place as usize);
        }
        out.extend_from_slice(rest);
    }
}

impl From<&[u8]> for Line {
    fn from(whole: &[u8]) -> Self {
        Self { own: whole.into(), shared: Vec::new() }
    }
}
