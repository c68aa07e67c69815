//! Questions, until they are answered or nobody will.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::{Said, Span};
use crate::base::{Endpoint, PacketNo, Seen, Stamp};

/// Client, resolver and transaction.
pub(super) type Key = (Endpoint, Endpoint, u16);

/// A question's place in the queue.
type Queued = (Stamp, PacketNo, Key);

/// Whether what stands in the queue is still to be answered.
fn is_open(open: &HashMap<Key, Question>, (_, no, key): &Queued) -> bool {
    open.get(key).is_some_and(|question| question.queued == *no)
}

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
    /// The packet under which it stands in the queue.
    queued: PacketNo,
}

/// Questions without an answer, the longest asked first.
#[derive(Debug)]
pub(super) struct Questions {
    open: HashMap<Key, Question>,
    /// When each is to be looked at and the packet that it was asked in, or asked again; some are answered by now, or others
    /// were asked under their number, but the first is open.
    queue: VecDeque<Queued>,
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
            self.queue.retain(|queued| is_open(open, queued));
        }
        self.queue.push_back((now + self.wait, no, key));
        let asked = Seen::new((), no, said.message.when);
        let (name, qtype) = (message.name.clone(), message.qtype);
        self.open.insert(key, Question { name, qtype, asked, times: 1, last: now, queued: no });
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
            let Some(question) = self.open.get_mut(&key).filter(|question| question.queued == no) else {
                continue;
            };
            let due = question.last + self.wait;
            if due >= now {
                // Asked again meanwhile; it stands where its last packet would.
                let no = question.asked.at.last().unwrap_or(no);
                question.queued = no;
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
        while let Some(queued) = self.queue.pop_front() {
            if is_open(&self.open, &queued) {
                self.open.remove(&queued.2);
                self.dropped += 1;
                break;
            }
        }
        self.clear_front();
    }

    fn clear_front(&mut self) {
        while self.queue.front().is_some_and(|queued| !is_open(&self.open, queued)) {
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aside::dns;
    use crate::base::Addr;

    /// A question of one client for a name of its own, under one of 16 numbers.
    fn question(n: u64) -> Said {
        let mut dns = vec![0, (n % 16) as u8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 8];
        dns.extend(format!("{n:08x}").as_bytes());
        dns.extend(b"\x05flood\x04test\0\0\x01\0\x01");
        let message = dns::parse(&dns).unwrap();
        let end = |host, port| Endpoint { addr: Addr::v4([10, 0, 0, host]), port };
        let when = Stamp(n as i64);
        Said {
            client: end(1, 4_000),
            resolver: end(2, 53),
            ttl: 64,
            message: Seen::new(message, PacketNo(n), when),
        }
    }

    #[test]
    fn a_number_that_is_used_again_and_again_leaves_one_place_in_the_queue() {
        let mut questions = Questions::new(Span::from_secs(10), 64);
        for n in 1..=10_000 {
            questions.ask(&question(n), Stamp(n as i64), true);
        }
        questions.queue.retain(|queued| is_open(&questions.open, queued));
        assert_eq!((questions.open.len(), questions.queue.len()), (16, 16));
        let told = std::iter::from_fn(|| questions.next_before(Stamp::from_secs(60)));
        assert_eq!(
            told.map(|(_, question)| question.asked.at.first().unwrap().0).collect::<Vec<_>>(),
            (9_985..=10_000).collect::<Vec<_>>()
        );
    }
}
