//! The summary of a run and the table of its failures.

use super::rows::{Failures, Row};
use super::style::{Ink, Style, clean, cut, pad, plural, thousands, width, wrap};
use super::words;
use crate::base::Stamp;
use crate::cause::{Certainty, Diagnosis};
use crate::event::{Stats, asked_name};
use crate::evidence::{Evidence, Outcome};
use crate::tls::idn;

/// One failure as it happens, in one line: when, who, verdict, and the first proof.
pub fn line(evidence: &Evidence, diagnosis: Option<&Diagnosis>, style: Style) -> String {
    let primary = diagnosis.and_then(|diagnosis| diagnosis.primary.as_ref());
    let why = match primary.and_then(|(_, finding)| finding.proofs.first()) {
        Some(proof) => proof.says.clone(),
        None => words::ending(evidence),
    };
    let name =
        asked_name(evidence).map(|sni| format!(" ({})", clean(&idn::for_people(sni)))).unwrap_or_default();
    format!(
        "{} {} → {}{name} {}: {}\n",
        evidence.ended,
        evidence.client,
        evidence.server,
        style.ink(Ink::Red, words::verdict(primary)),
        clean(&why)
    )
}

/// Renders the whole: what was read, what came of it, what failed and why. Ends with a line break.
pub fn render(stats: &Stats, failures: &Failures, style: Style) -> String {
    let mut page = Page { out: String::new(), style };
    page.read(stats);
    page.outcomes(stats);
    page.causes(stats);
    page.failures(stats, failures);
    page.out
}

struct Page {
    out: String,
    style: Style,
}

/// Indent of what belongs to a row's name.
const INDENT: usize = 10;

impl Page {
    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    /// Lines of running text, each in the given ink.
    fn paragraph(&mut self, text: &str, indent: usize, ink: Option<Ink>) {
        for line in wrap(text, self.style.columns() - indent) {
            let line = ink.map_or(line.clone(), |ink| self.style.ink(ink, line));
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    /// Pieces, each with its columns, on as few lines as hold them.
    fn flow(&mut self, indent: usize, between: &str, pieces: Vec<(usize, String)>) {
        let mut line = String::new();
        let mut used = 0;
        for (columns, piece) in pieces {
            if used > 0 && indent + used + width(between) + columns > self.style.columns() {
                self.line(&format!("{:indent$}{line}{}", "", between.trim_end()));
                line.clear();
                used = 0;
            }
            if used > 0 {
                line.push_str(between);
                used += width(between);
            }
            line.push_str(&piece);
            used += columns;
        }
        if used > 0 {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    fn read(&mut self, stats: &Stats) {
        let mut text = format!(
            "{} ({}) in {}",
            plural(stats.packets, "packet", "packets"),
            bytes(stats.bytes),
            match stats.files.as_slice() {
                [only] => clean(&only.name),
                files => plural(files.len() as u64, "file", "files"),
            }
        );
        if let (Some(first), Some(last)) = (stats.first, stats.last) {
            text.push_str(&format!(", {}", times(first, last)));
        }
        self.paragraph(&text, 0, None);
        for file in &stats.files {
            if let Some(stopped) = &file.stopped {
                let name = clean(&file.name);
                let stopped = clean(stopped);
                // The reader's own words often begin with the name.
                let text = if stopped.starts_with(&name) { stopped } else { format!("{name}: {stopped}") };
                self.paragraph(&format!("! {text}"), 0, Some(Ink::Yellow));
            }
        }
        if !stats.lost.is_nothing() {
            let lost: Vec<_> = stats
                .lost
                .counted()
                .map(|(name, count)| format!("{} {}", thousands(count), name.replace('_', " ")))
                .collect();
            self.paragraph(&format!("! not seen or dropped: {}", lost.join(", ")), 0, Some(Ink::Yellow));
        }
        self.line("");
    }

    fn outcomes(&mut self, stats: &Stats) {
        let tally = &stats.tally;
        let title = match tally.attempts() {
            0 => String::from("No TLS handshake was attempted"),
            count => plural(count, "handshake", "handshakes"),
        };
        let (succeeded, all) = tally.success();
        let rate = match tally.success_rate() {
            Some(rate) => {
                format!("{} succeeded ({} of {})", percent(rate), thousands(succeeded), thousands(all))
            }
            None => String::new(),
        };
        let style = self.style;
        let mut pieces = vec![(width(&title), style.ink(Ink::Bold, &title))];
        if !rate.is_empty() {
            pieces.push((width(&rate), rate));
        }
        self.flow(0, ", ", pieces);
        let counts: Vec<_> = Outcome::ALL
            .into_iter()
            .filter(|&outcome| tally.outcome(outcome) > 0)
            .map(|outcome| {
                let text = format!("{} {}", thousands(tally.outcome(outcome)), words::outcome(outcome));
                let columns = width(&text);
                match outcome {
                    Outcome::Failed => (columns, style.ink(Ink::Red, text)),
                    Outcome::Completed | Outcome::Resumed => (columns, style.ink(Ink::Green, text)),
                    _ => (columns, text),
                }
            })
            .collect();
        self.flow(2, " · ", counts);
        let statuses = &stats.revocation;
        if statuses.exchanges > 0 {
            let mut text = format!(
                "{} about revocation, {} answered",
                plural(statuses.exchanges, "exchange", "exchanges"),
                thousands(statuses.answered)
            );
            if let Some((p50, p99, _)) = statuses.round_trips() {
                text.push_str(&format!(" (half within {p50}, 99 of 100 within {p99})"));
            }
            for (word, count) in statuses.troubles() {
                text.push_str(&format!(", {} {}", thousands(count), word.replace('_', " ")));
            }
            self.paragraph(&text, 2, None);
        }
        self.line("");
    }

    fn causes(&mut self, stats: &Stats) {
        let tally = &stats.tally;
        if tally.outcome(Outcome::Failed) == 0 {
            return;
        }
        self.line(&self.style.ink(Ink::Bold, "Why they failed"));
        let mut causes: Vec<(&str, u64, Vec<String>)> = tally
            .causes()
            .map(|(cause, count)| {
                let mut reasons: Vec<_> = tally.reasons_of(cause).collect();
                reasons.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
                let said = match reasons.as_slice() {
                    [(only, _)] => vec![(*only).to_owned()],
                    many => many.iter().map(|(word, n)| format!("{word} {n}")).collect(),
                };
                (cause.word(), count, said)
            })
            .collect();
        causes.sort_by_key(|&(_, count, _)| std::cmp::Reverse(count));
        if tally.undetermined() > 0 {
            let said = String::from("the wire leaves more than one reading");
            causes.push(("undetermined", tally.undetermined(), vec![said]));
        }
        let most = causes.iter().map(|&(_, count, _)| count).max().unwrap_or(1).max(1);
        let bars = if self.style.columns() < 80 { 8 } else { 20 };
        for (word, count, said) in causes {
            let long = usize::try_from(count * bars / most).unwrap_or(0).max(1);
            let bars = usize::try_from(bars).unwrap_or(0);
            let start = format!("  {} {:>7}  ", pad(word, 18), thousands(count));
            let room = self.style.columns().saturating_sub(width(&start) + bars + 2);
            let bar = self.style.ink(Ink::Red, pad(&"█".repeat(long), bars));
            let mut lines = fill(&said, room).into_iter();
            self.line(&format!("{start}{bar}  {}", lines.next().unwrap_or_default()));
            let indent = width(&start) + bars + 2;
            lines.for_each(|line| self.line(&format!("{:indent$}{line}", "")));
        }
        self.line("");
    }

    fn failures(&mut self, stats: &Stats, failures: &Failures) {
        let rows = failures.in_order();
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return };
        let dated = first.when.date() != last.when.date();
        let places = Places::new(self.style.columns(), dated);
        self.line(&self.style.ink(Ink::Dim, places.heading()));
        for row in &rows {
            self.row(row, &places, stats.files.len() > 1);
        }
        if failures.beyond() > 0 {
            let text =
                format!("{} more failures are not listed; --json has them all", thousands(failures.beyond()));
            self.paragraph(&text, 0, Some(Ink::Yellow));
            self.line("");
        }
        let path = if first.capture.is_empty() { "PATH" } else { &first.capture };
        let path = failures.sources.as_deref().unwrap_or(path);
        let cause = rows.iter().find(|row| row.certainty.is_some());
        let cause = cause.and_then(|row| row.verdict.split(' ').next()).unwrap_or("CAUSE");
        self.hint(&format!("tlswhy show {} {path}", first.id.short()), "one failure, packet by packet");
        self.hint(&format!("tlswhy explain {cause}"), "what a cause means, and its remedies");
    }

    /// A command to go on with; never cut, since it is there to be copied.
    fn hint(&mut self, command: &str, gives: &str) {
        let start = pad(command, width(command).max(34));
        let gives = if width(&start) + 2 + width(gives) > self.style.columns() { "" } else { gives };
        let command = if gives.is_empty() { command } else { &start };
        self.line(&format!("{}  {}", self.style.ink(Ink::Cyan, command), self.style.ink(Ink::Dim, gives)));
    }

    fn row(&mut self, row: &Row, places: &Places, many_files: bool) {
        let style = self.style;
        let times = if row.times > 1 { format!("×{}", thousands(row.times)) } else { String::new() };
        let server = row.server.map_or_else(|| String::from("(no address)"), |server| server.to_string());
        let ends = format!("{} → {server}", row.client);
        let stamp = clock(row.when, places.dated);
        let id = style.ink(Ink::Cyan, pad(&row.id.short(), INDENT));
        let name = if row.name.is_empty() { "(no name)" } else { &row.name };
        let times = style.ink(Ink::Bold, format!("{times:>w$}", w = Places::TIMES));
        if places.name == 0 {
            let room = places.columns - INDENT - Places::TIMES - 1;
            self.line(&format!("{id}{} {times}", pad(&stamp, room)));
            self.line(&format!("{:INDENT$}{}", "", cut(&ends, places.columns - INDENT)));
            self.line(&format!("{:INDENT$}{}", "", cut(name, places.columns - INDENT)));
        } else {
            // A long pair of addresses borrows from the name's place; what does not fit goes below.
            let room = places.ends + 2 + places.name;
            let (ends, below) = if width(&ends) <= places.ends {
                (
                    format!("{}  {}", pad(&ends, places.ends), pad(name, places.name)),
                    width(name) > places.name,
                )
            } else if width(&ends) + 2 + width(name) <= room {
                (pad(&format!("{ends}  {name}"), room), false)
            } else {
                (pad(&ends, room), true)
            };
            self.line(&format!("{id}{}  {ends} {times}", pad(&stamp, places.stamp)));
            if below {
                self.line(&format!("{:INDENT$}{}", "", cut(name, places.columns - INDENT)));
            }
        }
        let ink = match row.certainty {
            Some(Certainty::Proven | Certainty::Inferred) => Ink::Red,
            _ => Ink::Yellow,
        };
        let room = places.columns - INDENT;
        let weight = if row.weight.is_empty() { String::new() } else { format!("  {}", row.weight) };
        if width(&row.verdict) + width(&weight) <= room {
            self.line(&format!("{:INDENT$}{}{weight}", "", style.ink(ink, &row.verdict)));
        } else {
            self.paragraph(&row.verdict, INDENT, Some(ink));
            self.paragraph(&row.weight, INDENT, None);
        }
        self.why(row, room, many_files);
        self.line("");
    }

    /// At most three lines: the proof and where to see it, which is never cut away.
    fn why(&mut self, row: &Row, room: usize, many_files: bool) {
        const LINES: usize = 3;
        let at = match many_files {
            true => format!("[{} of {}]", words::packets(&row.at), row.capture),
            false => format!("[{}]", words::packets(&row.at)),
        };
        let mut lines = wrap(&row.why, room);
        if lines.len() > LINES {
            lines.truncate(LINES);
            if let Some(last) = lines.last_mut() {
                *last = cut(&format!("{last} …"), room);
            }
        }
        match lines.last_mut() {
            Some(last) if width(last) + 1 + width(&at) <= room => {
                last.push(' ');
                last.push_str(&self.style.ink(Ink::Dim, &at));
            }
            _ => lines.push(self.style.ink(Ink::Dim, cut(&at, room))),
        }
        for line in lines {
            self.line(&format!("{:INDENT$}{line}", ""));
        }
    }
}

/// Pieces behind commas, on lines of at most `columns`; no piece is broken, only a longer one cut.
fn fill(pieces: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (n, piece) in pieces.iter().enumerate() {
        let comma = if n + 1 < pieces.len() { "," } else { "" };
        let piece = format!("{}{comma}", cut(piece, columns.saturating_sub(width(comma))));
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&piece) <= columns => {
                line.push(' ');
                line.push_str(&piece);
            }
            _ => lines.push(piece),
        }
    }
    lines
}

/// Where the columns of a row stand.
struct Places {
    columns: usize,
    dated: bool,
    stamp: usize,
    ends: usize,
    /// 0 where the terminal is too narrow for names beside addresses.
    name: usize,
}

impl Places {
    /// `×` and a count.
    const TIMES: usize = 7;

    fn new(columns: usize, dated: bool) -> Self {
        let stamp = if dated { 18 } else { 12 };
        let room = columns.saturating_sub(INDENT + stamp + 2 + Self::TIMES + 1);
        // 192.0.2.100:50123 → 198.51.100.100:8443 takes 39 columns.
        let ends = if room >= 60 { 40 } else { 0 };
        Self { columns, dated, stamp, ends, name: if ends == 0 { 0 } else { room - ends - 2 } }
    }

    fn heading(&self) -> String {
        if self.name == 0 {
            return format!("{}TIME (UTC)", pad("ID", INDENT));
        }
        format!(
            "{}{}  {}  NAME ASKED FOR",
            pad("ID", INDENT),
            pad("TIME (UTC)", self.stamp),
            pad("CLIENT → SERVER", self.ends)
        )
    }
}

/// `09:30:00.000`, or with the date `11-23 09:30:00.000`.
fn clock(stamp: Stamp, dated: bool) -> String {
    let text = stamp.to_string();
    let time = text.split_once('T').map_or("", |(_, time)| time).get(..12).unwrap_or_default();
    if dated { format!("{} {time}", stamp.date().get(5..).unwrap_or_default()) } else { time.to_owned() }
}

/// `2026-11-23 09:30:00 to 09:42:11 UTC (12 min)`.
fn times(first: Stamp, last: Stamp) -> String {
    let second = |stamp: Stamp| clock(stamp, false).get(..8).unwrap_or_default().to_owned();
    let date = if first.date() == last.date() { String::new() } else { format!("{} ", last.date()) };
    format!("{} {} to {date}{} UTC ({})", first.date(), second(first), second(last), last - first)
}

/// `96.6 %`. Never `100.0 %` or `0.0 %` where it is not.
fn percent(rate: f64) -> String {
    let tenths = (rate * 1000.0).round();
    let tenths = if rate < 1.0 && tenths >= 1000.0 { 999.0 } else { tenths };
    let tenths = if rate > 0.0 && tenths < 1.0 { 1.0 } else { tenths };
    format!("{:.1} %", tenths / 10.0)
}

/// `12.3 MB`.
fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown to one decimal")]
    let value = count as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value / 1e6),
        _ => format!("{:.1} GB", value / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::{Cause, Diagnosis};
    use crate::event::fixture;

    fn failures() -> Failures {
        let mut failures = Failures::default();
        for _ in 0..8 {
            failures.add(&fixture::expired(), Some(&fixture::expired_diagnosis()), "a.pcapng");
        }
        let candidates = Diagnosis {
            candidates: vec![Cause::ExpiredCert, Cause::NameMismatch, Cause::BrokenChain],
            ..Diagnosis::default()
        };
        failures.add(&fixture::sealed_alert(), Some(&candidates), "a.pcapng");
        failures.add(&fixture::syn_dropped(), Some(&fixture::syn_dropped_diagnosis()), "b.pcap");
        failures.add(&fixture::syn_dropped(), Some(&fixture::syn_dropped_diagnosis()), "b.pcap");
        failures
    }

    fn page(width: usize) -> String {
        render(&fixture::stats(), &failures(), Style { colour: false, width })
    }

    #[test]
    fn a_page_of_100_columns_reads_as_intended() {
        let expected = include_str!("golden/text-100.txt");
        assert_eq!(page(100), expected, "\n{}", page(100));
    }

    #[test]
    fn no_line_leaves_the_terminal() {
        for columns in 40..=160 {
            for line in page(columns).lines() {
                assert!(width(line) <= columns, "{columns} columns, {}: {line}", width(line));
            }
        }
    }

    #[test]
    fn colour_changes_nothing_but_the_colour() {
        let coloured = render(&fixture::stats(), &failures(), Style { colour: true, width: 100 });
        assert!(coloured.contains("\u{1b}["));
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        plain.push_str(rest);
        let trimmed: String = plain.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        assert_eq!(trimmed, page(100));
    }

    #[test]
    fn a_hostile_name_cannot_steer_the_terminal() {
        let mut evidence = fixture::expired();
        evidence.hello.as_mut().unwrap().value.sni = Some("a\u{1b}[2Jb\nc\u{202e}".into());
        let mut failures = Failures::default();
        failures.add(&evidence, None, "a.pcapng");
        let page = render(&fixture::stats(), &failures, Style::default());
        assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'));
    }

    #[test]
    fn an_empty_capture_says_so() {
        let page = render(&Stats::default(), &Failures::default(), Style::default());
        assert_eq!(page, "0 packets (0 B) in 0 files\n\nNo TLS handshake was attempted\n\n");
    }

    #[test]
    fn reasons_fill_lines_and_stay_whole() {
        let reasons = ["leaf_expired 16", "client_cert_expired 3", "root_expired 1"].map(str::to_owned);
        assert_eq!(fill(&reasons, 40), ["leaf_expired 16, client_cert_expired 3,", "root_expired 1"]);
        assert_eq!(fill(&reasons, 8), ["leaf_e…,", "client…,", "root_ex…"]);
    }

    #[test]
    fn nearly_all_is_not_all() {
        assert_eq!(percent(1.0), "100.0 %");
        assert_eq!(percent(0.99999), "99.9 %");
        assert_eq!(percent(0.00001), "0.1 %");
        assert_eq!(percent(0.9655), "96.6 %");
    }

    #[test]
    fn rows_of_several_days_carry_dates() {
        let mut late = fixture::expired();
        late.client.addr.0 += 5;
        late.started = late.started + crate::base::Span::from_secs(86_400);
        let mut failures = failures();
        failures.add(&late, None, "b.pcap");
        let page = render(&fixture::stats(), &failures, Style::default());
        assert!(page.contains("11-23 09:30:00.000") && page.contains("11-24 09:30:00.000"), "{page}");
    }
}
