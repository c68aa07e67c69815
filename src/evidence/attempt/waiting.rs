//! What is sealed and waits for keys, in order and within bounds.

use std::collections::VecDeque;

/// Records or packets that wait for keys.
#[derive(Debug)]
pub(in crate::evidence) struct Waiting<T> {
    queue: VecDeque<T>,
    /// Bytes of what waits.
    held: usize,
    /// Most that wait, and most bytes of them.
    most: (usize, usize),
    gave_up: bool,
}

impl<T> Waiting<T> {
    /// Nothing yet. `number`: most that wait. `bytes_per_side`: bytes that each of the two sides may hold.
    pub(in crate::evidence) fn new(number: usize, bytes_per_side: usize) -> Self {
        Self { queue: VecDeque::new(), held: 0, most: (number, 2 * bytes_per_side), gave_up: false }
    }

    /// Puts one of so many bytes behind the others. Where that is too much, nothing waits any more: how many were let go.
    pub(in crate::evidence) fn push(&mut self, one: T, bytes: usize) -> usize {
        self.held += bytes;
        self.queue.push_back(one);
        let (number, most) = self.most;
        if self.queue.len() > number || self.held > most { self.give_up() } else { 0 }
    }

    /// Nothing waits any more: how many were let go.
    pub(in crate::evidence) fn give_up(&mut self) -> usize {
        self.gave_up = true;
        self.take().len()
    }

    /// Nothing waits any more.
    pub(in crate::evidence) fn gave_up(&self) -> bool {
        self.gave_up
    }

    /// All that waits, in order.
    pub(in crate::evidence) fn take(&mut self) -> VecDeque<T> {
        self.held = 0;
        std::mem::take(&mut self.queue)
    }

    /// The last that came.
    pub(in crate::evidence) fn last(&self) -> Option<&T> {
        self.queue.back()
    }

    /// Bytes held.
    pub(in crate::evidence) fn held(&self) -> usize {
        self.held
    }
}
