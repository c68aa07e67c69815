//! One handshake packet by packet, with the proofs marked.

mod across;

use super::style::{Ink, Style, clean, cut, pad, width, wrap};
use super::words;
use crate::base::{PacketNo, Side, Stamp};
use crate::cause::stack::Who;
use crate::cause::weigh::client_rejects;
use crate::cause::{Diagnosis, Finding};
use crate::event::{Hygiene, Id, asked_name};
use crate::evidence::{Evidence, Outcome};
use crate::tls::idn;

/// One packet of the attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// Its number in the file.
    pub no: PacketNo,
    /// Its stamp.
    pub when: Stamp,
    /// Whose address it bears.
    pub from: Side,
    /// What it carries, one text for each thing: `SYN`, `ClientHello sni=… TLS 1.3`, `alert fatal unknown_ca (48)`.
    pub what: Vec<String>,
    /// Bytes of TCP payload.
    pub len: u32,
    /// Something odd about it: `retransmission of 4`, `ttl 63, the server's others have 52`.
    pub note: Option<String>,
}

/// Another attempt of the same episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its name.
    pub id: Id,
    /// When it began.
    pub started: Stamp,
    /// Its place in the episode.
    pub attempt: u32,
    /// What came of it.
    pub outcome: Outcome,
}

/// Renders one attempt: who and what came of it, its packets, then every proof. Ends with a line break.
///
/// `rungs` are in the order of the capture; the caller bounds them. A diagnosis beside an attempt that did not fail is
/// passed over. `others` are the further attempts of its episode.
pub fn render(
    evidence: &Evidence,
    diagnosis: Option<&Diagnosis>,
    hygiene: &[Hygiene],
    rungs: &[Rung],
    others: &[Other],
    style: Style,
) -> String {
    let diagnosis = diagnosis.filter(|_| evidence.outcome == Outcome::Failed);
    let mut page = Page { out: String::new(), style, evidence, diagnosis };
    page.head();
    page.remedy();
    match &evidence.around.crossing {
        Some(crossing) => page.crossing(crossing, rungs),
        None => page.rungs(rungs),
    }
    page.proofs();
    page.rest(hygiene);
    page.episode(others);
    page.out.truncate(page.out.trim_end().len());
    page.out.push('\n');
    page.out
}

struct Page<'a> {
    out: String,
    style: Style,
    evidence: &'a Evidence,
    diagnosis: Option<&'a Diagnosis>,
}

impl Page<'_> {
    /// Columns of mark, number and time before the arrow.
    const BEFORE: usize = Self::MARK + 7 + 1 + 9;
    const MARK: usize = 7;
    const ARROW: usize = 8;

    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn title(&mut self, text: &str) {
        self.line(&self.style.ink(Ink::Bold, text));
    }

    /// A first line behind `start`, the others below its text.
    fn hanging(&mut self, start: &str, text: &str) {
        let indent = width(start).min(self.style.columns() / 2);
        let mut lines = wrap(text, self.style.columns() - indent).into_iter();
        let first = lines.next().unwrap_or_default();
        self.line(&format!("{start}{first}"));
        for line in lines {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    fn primary(&self) -> Option<&(crate::cause::Cause, Finding)> {
        self.diagnosis.and_then(|diagnosis| diagnosis.primary.as_ref())
    }

    fn head(&mut self) {
        let e = self.evidence;
        let id = self.style.ink(Ink::Cyan, Id::of(e));
        self.line(&format!("Handshake {id}"));
        let started = e.started.to_string();
        let started = started.replace('T', " ").replace('Z', " UTC");
        self.hanging("  when    ", &format!("{started}, lasted {}", e.ended - e.started));
        self.hanging("  client  ", &e.client.to_string());
        let server = if e.stage == crate::evidence::Stage::Dns {
            String::from("no address was found")
        } else {
            e.server.to_string()
        };
        self.hanging("  server  ", &server);
        self.hanging(
            "  name    ",
            &asked_name(e)
                .map_or_else(|| String::from("none asked for"), |name| clean(&idn::for_people(name))),
        );
        if let Some(prelude) = e.prelude {
            let to = e.proxied.as_ref().map(|to| format!(" to {}, port {}", to.value.host, to.value.port));
            self.hanging("  within  ", &clean(&format!("{}{}", prelude.word(), to.unwrap_or_default())));
        }
        if let Some(answer) = &e.server_hello {
            let answer = &answer.value;
            self.hanging("  agreed  ", &format!("{}, {}", answer.version, answer.cipher));
        }
        let outcome = words::outcome(e.outcome);
        let text = match e.outcome {
            Outcome::Failed => {
                let verdict = format!("{outcome}: {}", words::verdict(self.primary()));
                let weight = self.primary().map_or_else(String::new, |(_, f)| words::weight(f));
                let fits = 10 + width(&verdict) + 2 + width(&weight) <= self.style.columns();
                let between = if fits { "  " } else { "\n          " };
                format!("{}{between}{weight}", self.style.ink(Ink::Red, verdict))
            }
            Outcome::Completed | Outcome::Resumed => self.style.ink(Ink::Green, outcome),
            _ => self.style.ink(Ink::Yellow, outcome),
        };
        self.line(&format!("  result  {text}"));
        if self.primary().is_none() {
            self.hanging("  ended   ", &format!("{} [{}]", words::ending(e), words::packets(&e.ending.at)));
            let candidates = words::candidates(self.diagnosis);
            if !candidates.is_empty() {
                self.hanging("  cause   ", &candidates);
            }
        }
        self.line("");
    }

    /// The other attempts of the client at the same service.
    fn episode(&mut self, others: &[Other]) {
        /// More of them nobody reads.
        const LISTED: usize = 20;
        let Some(episode) = self.evidence.around.episode.filter(|_| !others.is_empty()) else { return };
        let most = others.iter().map(|other| other.attempt).max().unwrap_or(0).max(episode.attempt);
        self.title(&format!("Attempt {} of {most} at this service", episode.attempt));
        for other in others.iter().take(LISTED) {
            let began = other.started - self.evidence.started;
            let when = if began.0 < 0 {
                format!("{} earlier", crate::base::Span(-began.0))
            } else {
                format!("{began} later")
            };
            let id = self.style.ink(Ink::Cyan, other.id);
            self.line(&format!("  {id}  {:>3}  {}, {when}", other.attempt, words::outcome(other.outcome)));
        }
        if others.len() > LISTED {
            self.line(&format!("  and {} more", others.len() - LISTED));
        }
    }

    fn remedy(&mut self) {
        let reason = self
            .primary()
            .and_then(|(cause, finding)| cause.reasons().iter().find(|reason| reason.word == finding.reason));
        let Some(reason) = reason else { return };
        self.title("What to do");
        self.hanging("  ", reason.remedy);
        for (n, step) in reason.steps.iter().enumerate() {
            self.hanging(&format!("  {}. ", n + 1), step);
        }
        self.line("");
    }

    fn rungs(&mut self, rungs: &[Rung]) {
        if rungs.is_empty() {
            return;
        }
        let heading = format!("{}{:>7} {:>9}  client→server", pad("PROOF", Self::MARK), "PACKET", "TIME");
        self.line(&self.style.ink(Ink::Dim, heading));
        for rung in rungs {
            self.rung(rung);
        }
        self.line("");
    }

    /// Which proofs cite one of these packets, in the column for that.
    fn mark(&self, packets: impl Fn(PacketNo) -> bool) -> String {
        let proofs: Vec<String> = self
            .primary()
            .map_or(&[][..], |(_, finding)| &finding.proofs)
            .iter()
            .enumerate()
            .filter(|(_, proof)| proof.cite.packets().iter().any(&packets))
            .map(|(n, _)| (n + 1).to_string())
            .collect();
        if proofs.is_empty() {
            return pad("", Self::MARK);
        }
        self.style.ink(Ink::Red, pad(&format!("●{}", proofs.join(",")), Self::MARK))
    }

    fn rung(&mut self, rung: &Rung) {
        let mark = self.mark(|no| no == rung.no);
        let since = rung.when - self.evidence.started;
        let since = if since.micros() < 0 { since.to_string() } else { format!("+{since}") };
        let arrow = words::arrow(rung.from, Self::ARROW);
        let start = Self::BEFORE + 2 + Self::ARROW + 2;
        let length = if rung.len > 0 { format!("{} B", rung.len) } else { String::new() };
        let room = self.style.columns().saturating_sub(start + 8).max(10);
        let mut lines: Vec<String> = rung.what.iter().flat_map(|what| wrap(&clean(what), room)).collect();
        if lines.is_empty() {
            lines.push(String::new());
        }
        let mut lines = lines.into_iter();
        let first = lines.next().unwrap_or_default();
        let before = format!("{:>7} {since:>9}", rung.no.0);
        self.line(&format!(
            "{mark}{before}  {}  {} {}",
            self.style.ink(Ink::Dim, arrow),
            pad(&first, room),
            self.style.ink(Ink::Dim, format!("{length:>7}")),
        ));
        for line in lines {
            self.line(&format!("{:start$}{}", "", cut(&line, room)));
        }
        if let Some(note) = &rung.note {
            for line in wrap(&clean(note), room) {
                self.line(&format!("{:start$}{}", "", self.style.ink(Ink::Yellow, line)));
            }
        }
    }

    fn proofs(&mut self) {
        let Some((_, finding)) = self.primary().cloned() else { return };
        self.title("Proofs");
        for (n, proof) in finding.proofs.iter().enumerate() {
            let text = format!("{} [{}]", clean(&proof.says), words::cite(&proof.cite));
            self.hanging(&format!("  ●{} ", n + 1), &text);
        }
        self.line("");
    }

    /// What the client's stack does with such a defect, where it rejects it.
    fn client_rejects(&self, rejects: Option<bool>) -> String {
        match Who::is_client_of(self.evidence) {
            Some(who) if rejects == Some(true) => {
                format!("; this client's stack ({}) would reject it by default", who.called())
            }
            _ => String::new(),
        }
    }

    fn rest(&mut self, hygiene: &[Hygiene]) {
        if let Some(diagnosis) = self.diagnosis {
            if !diagnosis.also.is_empty() {
                self.title("Found as well");
                for (cause, finding) in &diagnosis.also {
                    let proof = finding.proofs.first();
                    let says = proof.map_or_else(String::new, |proof| {
                        format!(": {} [{}]", clean(&proof.says), words::cite(&proof.cite))
                    });
                    let rejects = self.client_rejects(client_rejects(self.evidence, finding));
                    let text = format!(
                        "{} / {} ({}){says}{rejects}",
                        cause.word(),
                        finding.reason,
                        words::weight(finding)
                    );
                    self.hanging("  - ", &text);
                }
                self.line("");
            }
            if !diagnosis.blind.is_empty() {
                self.title("Could not be seen");
                for (cause, why) in &diagnosis.blind {
                    self.hanging("  - ", &format!("{}: {why}", cause.word()));
                }
                self.line("");
            }
        }
        if !hygiene.is_empty() {
            self.title("Not the cause, but wrong");
            for item in hygiene {
                let rejects = self.client_rejects(item.client_rejects);
                let text = format!("{} / {}: {}{rejects}", item.cause.word(), item.reason, clean(&item.says));
                self.hanging("  - ", &text);
            }
            self.line("");
        }
        if !self.evidence.lost.is_nothing() {
            let lost: Vec<_> = self.evidence.lost.counted().map(|(name, n)| format!("{name} {n}")).collect();
            self.hanging("Not seen or dropped: ", &lost.join(", "));
            self.line("");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Span;
    use crate::cause::Cause;
    use crate::event::fixture;
    use crate::evidence::around::Episode;

    fn rungs() -> Vec<Rung> {
        let rung = |no, millis, from, len, what: &[&str]| Rung {
            no: PacketNo(no),
            when: fixture::T0 + Span::from_millis(millis),
            from,
            what: what.iter().map(|&text| text.to_owned()).collect(),
            len,
            note: None,
        };
        let mut rungs = vec![
            rung(1, 0, Side::Client, 0, &["SYN"]),
            rung(2, 12, Side::Server, 0, &["SYN, ACK"]),
            rung(3, 12, Side::Client, 0, &["ACK"]),
            rung(4, 13, Side::Client, 517, &["ClientHello sni=www.example.com TLS 1.3, TLS 1.2"]),
            rung(
                6,
                27,
                Side::Server,
                2_896,
                &[
                    "ServerHello TLS 1.2",
                    "Certificate (2) leaf CN=old.example.com",
                    "ServerKeyExchange",
                    "ServerHelloDone",
                ],
            ),
            rung(8, 29, Side::Client, 7, &["alert fatal certificate_expired (45)"]),
            rung(9, 31, Side::Client, 0, &["RST"]),
        ];
        rungs[6].note = Some("ttl 63, the client's others have 64".into());
        rungs
    }

    fn page(width: usize) -> String {
        let hygiene = [fixture::no_ski(None)];
        let diagnosis = fixture::expired_diagnosis();
        render(&fixture::expired(), Some(&diagnosis), &hygiene, &rungs(), &[], Style { colour: false, width })
    }

    #[test]
    fn a_ladder_of_100_columns_reads_as_intended() {
        // TLSWHY_BLESS=1 writes the golden page anew; read the difference line by line.
        if std::env::var_os("TLSWHY_BLESS").is_some() {
            let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/golden/ladder-100.txt");
            std::fs::write(golden, page(100)).unwrap();
        }
        assert_eq!(page(100), include_str!("golden/ladder-100.txt"), "\n{}", page(100));
    }

    #[test]
    fn cited_packets_are_marked_with_their_proofs() {
        let page = page(100);
        let line = |packet: &str| page.lines().find(|line| line.contains(packet)).unwrap().to_owned();
        assert!(line("ServerHello TLS 1.2").starts_with("●1 "));
        assert!(line("alert fatal").starts_with("●2 "));
        assert!(line("ClientHello").starts_with("   "));
    }

    #[test]
    fn no_line_leaves_the_terminal() {
        for columns in 60..=160 {
            for line in page(columns).lines() {
                assert!(width(line) <= columns, "{columns} columns, {}: {line}", width(line));
            }
        }
    }

    #[test]
    fn an_undetermined_failure_says_how_it_ended() {
        let diagnosis =
            Diagnosis { candidates: vec![Cause::ExpiredCert, Cause::BrokenChain], ..Diagnosis::default() };
        let page = render(&fixture::sealed_alert(), Some(&diagnosis), &[], &[], &[], Style::default());
        assert!(page.contains("failed: undetermined"), "{page}");
        assert!(page.contains("one of expired_cert, broken_chain"), "{page}");
        assert!(page.contains("sealed alert (19 bytes"), "{page}");
    }

    #[test]
    fn the_other_attempts_of_an_episode_are_named() {
        let mut evidence = fixture::expired();
        evidence.around.episode = Some(Episode { id: 9, attempt: 2, first: evidence.started });
        let other = |attempt: u32, micros, outcome| Other {
            id: Id(attempt.into()),
            started: evidence.started + crate::base::Span(micros),
            attempt,
            outcome,
        };
        let others = [other(1, -2_000_000, Outcome::Failed), other(3, 1_000_000, Outcome::Completed)];
        let page = render(&evidence, None, &[], &[], &others, Style::default());
        assert!(page.contains("Attempt 2 of 3 at this service"), "{page}");
        assert!(page.contains("0000000000000001    1  failed, 2.0 s earlier"), "{page}");
        assert!(page.contains("0000000000000003    3  completed, 1.0 s later"), "{page}");
        assert!(!render(&evidence, None, &[], &[], &[], Style::default()).contains("Attempt"));
    }

    #[test]
    fn what_the_client_that_went_on_would_have_rejected_is_said() {
        let mut evidence = fixture::completed();
        let page = |evidence: &Evidence, rejects| {
            render(evidence, None, &[fixture::no_ski(rejects)], &[], &[], Style { colour: false, width: 200 })
        };
        assert!(!page(&evidence, Some(true)).contains("by default"), "no stack is told");
        fixture::by_go(&mut evidence);
        let said = page(&evidence, Some(true));
        assert!(
            said.contains("subjectKeyIdentifier; this client's stack (Go) would reject it by default"),
            "{said}"
        );
        for rejects in [Some(false), None] {
            assert!(!page(&evidence, rejects).contains("by default"));
        }
    }

    #[test]
    fn what_a_peer_sent_cannot_steer_the_terminal() {
        let mut rungs = rungs();
        rungs[3].what = vec!["ClientHello sni=\u{1b}[2J\u{202e}".into()];
        let page = render(&fixture::expired(), None, &[], &rungs, &[], Style::default());
        assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'));
    }
}
