//! Questions, until they are answered or nobody will.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::{Said, Span};
use crate::base::{Endpoint, PacketNo, Seen, Stamp};

/// Client, resolver and transaction.
pub(super) type Key = (Endpoint, Endpoint, u16);

/// One question, sent once or more.
#[derive(Debug)]
pub(super) struct Question {
    pub name: String,
    pub qtype: u16,
    /// The packets, and when the first came.
    pub asked: Seen<()>,
    pub times: u32,
    /// When the last came.
    pub last: Stamp,
}

/// Questions without an answer, the longest asked first.
#[derive(Debug)]
pub(super) struct Questions {
    open: HashMap<Key, Question>,
    /// When each is to be looked at and the packet that it was asked in, or asked again; some are answered by now, but the
    /// first is not.
    queue: VecDeque<(Stamp, PacketNo, Key)>,
    wait: Span,
    most: usize,
    /// Those that left because too many were open.
    pub dropped: u64,
}

impl Questions {
    /// None yet. Each waits for `wait`; at most `most` do.
    pub fn new(wait: Span, most: usize) -> Self {
        Self { open: HashMap::new(), queue: VecDeque::new(), wait, most: most.max(1), dropped: 0 }
    }

    /// Somebody asks. `busy`: and asks for many names, which is to leave room to others.
    pub fn ask(&mut self, said: &Said, now: Stamp, busy: bool) {
        let message = &said.message.value;
        let key = (said.client, said.resolver, message.id);
        let no = said.message.at.first().unwrap_or_default();
        if let Some(open) = self.open.get_mut(&key) {
            if open.name == message.name && open.qtype == message.qtype {
                open.times += 1;
                open.asked.at.add(no);
                open.last = now;
                return;
            }
            // Another question under the number of one that was never answered.
            self.open.remove(&key);
        }
        if busy && self.open.len() >= self.most / 4 {
            self.dropped += 1;
            return;
        }
        if self.open.len() >= self.most {
            self.make_room();
        }
        if self.queue.len() >= 2 * self.most {
            let open = &self.open;
            self.queue.retain(|(_, _, key)| open.contains_key(key));
        }
        self.queue.push_back((now + self.wait, no, key));
        let asked = Seen::new((), no, said.message.when);
        let (name, qtype) = (message.name.clone(), message.qtype);
        self.open.insert(key, Question { name, qtype, asked, times: 1, last: now });
    }

    /// The question that this answers.
    pub fn answered(&mut self, said: &Said) -> Option<Question> {
        let message = &said.message.value;
        let key = (said.client, said.resolver, message.id);
        let open = self.open.get(&key)?;
        if !message.name.is_empty() && (open.name != message.name || open.qtype != message.qtype) {
            return None; // its client will not take it for an answer
        }
        let question = self.open.remove(&key);
        self.clear_front();
        question
    }

    /// The next that nobody answered until before `now`.
    pub fn next_before(&mut self, now: Stamp) -> Option<(Key, Question)> {
        while self.queue.front().is_some_and(|(due, _, _)| *due < now) {
            let (_, no, key) = self.queue.pop_front()?;
            let Some(question) = self.open.get(&key) else { continue };
            let due = question.last + self.wait;
            if due >= now {
                // Asked again meanwhile; it stands where its last packet would.
                let no = question.asked.at.last().unwrap_or(no);
                let at = self.queue.partition_point(|(other, _, _)| *other <= due);
                self.queue.insert(at, (due, no, key));
                continue;
            }
            let question = self.open.remove(&key);
            self.clear_front();
            return question.map(|question| (key, question));
        }
        None
    }

    /// No question that is open was asked before this packet.
    pub fn earliest(&self) -> Option<PacketNo> {
        self.queue.front().map(|(_, no, _)| *no)
    }

    fn make_room(&mut self) {
        while let Some((_, _, key)) = self.queue.pop_front() {
            if self.open.remove(&key).is_some() {
                self.dropped += 1;
                break;
            }
        }
        self.clear_front();
    }

    fn clear_front(&mut self) {
        while self.queue.front().is_some_and(|(_, _, key)| !self.open.contains_key(key)) {
            self.queue.pop_front();
        }
    }
}
