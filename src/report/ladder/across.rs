//! The ladder of a handshake that both sides of a gateway saw: the gateway stands in its middle.

use super::{Page, Rung};
use crate::base::{PacketNo, Side, Span};
use crate::evidence::crossing::{Crossed, Crossing, Fate, Vantage};
use crate::report::style::{Ink, clean, cut, pad, wrap};

/// Columns on each side of the gateway.
const HALF: usize = 8;

impl Page<'_> {
    /// Every packet, with its number on each side and what became of it.
    pub(super) fn crossing(&mut self, crossing: &Crossing, rungs: &[Rung]) {
        let (near, far) = match crossing.near {
            Vantage::Inside => ("INSIDE", "OUTSIDE"),
            Vantage::Outside => ("OUTSIDE", "INSIDE"),
        };
        for (side, ends) in [(near, crossing.near_ends), (far, crossing.far_ends)] {
            let ends = ends.map(|(client, server)| format!("{client} and {server}"));
            let ends = ends.unwrap_or_else(|| String::from("nothing of it"));
            self.hanging(&format!("  {:8}", side.to_lowercase()), &ends);
        }
        if crossing.ahead.0.abs() >= Span::from_millis(1).0 {
            self.hanging("  clocks  ", &format!("that outside is ahead by {}", crossing.ahead));
        }
        self.line("");
        let heading = format!(
            "{}{near:>7} {:>9}  {:HALF$}gateway{:>HALF$} {far:>7}",
            pad("PROOF", Self::MARK),
            "TIME",
            "client",
            "server"
        );
        self.line(&self.style.ink(Ink::Dim, heading));
        for crossed in &crossing.packets {
            self.crossed(crossing, crossed, rungs);
        }
        self.line("");
    }

    fn crossed(&mut self, crossing: &Crossing, crossed: &Crossed, rungs: &[Rung]) {
        let numbers = [crossed.near, crossed.far].map(|sight| sight.map(|sight| sight.mark.no));
        let is_it = |no: PacketNo| numbers.contains(&Some(no));
        let mark = self.mark(is_it);
        let [near, far] = numbers.map(|no| no.map_or_else(String::new, |no| no.number().to_string()));
        let first = crossed.mark();
        let ahead = crossing.clock(first.no).0 - crossing.clock(self.evidence.first).0;
        let since = Span((first.when - self.evidence.started).0 - ahead);
        let since = if since.micros() < 0 { since.to_string() } else { format!("+{since}") };
        let (way, ink) = way(crossed);
        let start = Self::MARK + 7 + 1 + 9 + 2 + 2 * HALF + 7 + 1 + 7 + 2;
        let room = self.style.columns().saturating_sub(start).max(10);
        let rung = rungs.iter().find(|rung| is_it(rung.no));
        let what = rung.map_or_else(|| vec![String::from("packet")], |rung| rung.what.clone());
        let mut lines: Vec<String> = what.iter().flat_map(|what| wrap(&clean(what), room)).collect();
        if lines.is_empty() {
            lines.push(String::new());
        }
        let mut lines = lines.into_iter();
        let text = lines.next().unwrap_or_default();
        self.line(&format!("{mark}{near:>7} {since:>9}  {} {far:>7}  {text}", self.style.ink(ink, way)));
        for line in lines {
            self.line(&format!("{:start$}{}", "", cut(&line, room)));
        }
        let ends = [(crossed.near, crossing.near_ends), (crossed.far, crossing.far_ends)];
        for (sight, usual) in ends {
            if let Some((sight, (client, _))) =
                sight.zip(usual).filter(|(sight, (client, _))| sight.client != *client)
            {
                let side = if sight.mark.no.is_outside() { "outside" } else { "inside" };
                let other = format!("{side} as {}, not {client}", sight.client);
                self.line(&format!("{:start$}{}", "", self.style.ink(Ink::Yellow, other)));
            }
        }
        let note = match crossed.fate {
            Fate::Dropped => Some("dropped in between".to_owned()),
            Fate::Made => Some("made in between".to_owned()),
            Fate::Passed(_) if crossed.rewritten => Some("rewritten in between".to_owned()),
            Fate::Passed(_) => None,
            Fate::Unknown(why) => Some(why.to_owned()),
        };
        for line in note.iter().flat_map(|note| wrap(note, room)) {
            self.line(&format!("{:start$}{}", "", self.style.ink(Ink::Yellow, line)));
        }
    }
}

/// The arrow of a packet: how far it comes.
fn way(crossed: &Crossed) -> (String, Ink) {
    let line = |n: usize| "─".repeat(n);
    let blank = |n: usize| " ".repeat(n);
    let from_client = crossed.from == Side::Client;
    // On the client's side of the gateway, then on the server's.
    let here = |on: bool, arrives: bool| match (on, arrives, from_client) {
        (false, ..) => blank(HALF),
        (true, false, _) => line(HALF),
        (true, true, true) => format!("{}▶", line(HALF - 1)),
        (true, true, false) => format!("◀{}", line(HALF - 1)),
    };
    let (near, far) = (crossed.near.is_some(), crossed.far.is_some());
    let (middle, ink) = match crossed.fate {
        Fate::Passed(_) => (line(7), Ink::Dim),
        Fate::Dropped => (String::from("   ✗   "), Ink::Red),
        Fate::Made => (String::from("   ✦   "), Ink::Red),
        Fate::Unknown(_) => (String::from("   ?   "), Ink::Yellow),
    };
    let passed = crossed.passed();
    let left = here(near || passed, !from_client);
    let right = here(far || passed, from_client);
    (format!("{left}{middle}{right}"), ink)
}
