//! What the wire tells of clocks: the client's, the server's, and the capture's own.
//!
//! Dates of certificates are judged at the packets' time, which is what the capturing host believed. Clients judge them by
//! their own clocks, servers those of clients by theirs. Where the three disagree, a chain that looks valid is rejected,
//! or one that looks expired is none. These witnesses tell:
//!
//! | witness | tells | source |
//! |---|---|---|
//! | Date of an answer over HTTP, with its Age | that host's clock | RFC 9110 section 6.6.1, RFC 9111 section 5.1 |
//! | gmt_unix_time, the first four bytes of a hello's random | that host's clock, where it is real | RFC 5246 section 7.4.1.2 |
//! | producedAt of an OCSP answer | it is not earlier than this | RFC 6960 section 4.2.2.1 |
//! | a signed certificate timestamp | it is not earlier than this | RFC 6962 section 3.2 |
//! | notBefore of unrelated certificates | it is hardly earlier than this | RFC 5280 section 4.1.2.5 |
//!
//! Most stacks fill the four bytes at random: TLS 1.3 asks for that (RFC 9846 section 4.1.2), OpenSSL has done so since
//! 1.0.1f. Four random bytes fall within a day of the packet's time once in 25,000 hellos; so one that does is real. Of a clock
//! that is further off, two hellos of one host must tell different times that lie as far apart as their packets.

use super::Evidence;
use crate::base::{Addr, Seen, Span, Stamp};
use crate::tls::cert::Certificate;
use crate::tls::chain::{Defect, Fault};
use crate::tls::hello::{ClientHello, ServerHello};
use std::sync::Arc;

/// Who or what tells a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The Date of an HTTP answer.
    Date,
    /// One hello whose gmt_unix_time is near the packet's time.
    Hello,
    /// Two hellos whose gmt_unix_times lie as far apart as the packets.
    Hellos,
    /// producedAt of an OCSP answer; whether its signature was verified.
    Answer {
        /// By the issuer of a certificate that it is about.
        verified: bool,
    },
    /// The earliest signed timestamp in a certificate.
    Timestamp,
    /// notBefore of a certificate.
    NotBefore,
}

/// What a witness says of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whose clock, or who showed it.
    pub host: Addr,
    /// Its time minus that of its packet.
    pub ahead: Span,
    /// What tells.
    pub by: Witness,
}

impl Reading {
    /// Beyond this a clock is off: nearer ones differ by time zones, caches and slow daemons.
    pub const OFF: Span = Span::DAY;
    /// Two exact readings of one clock differ by less: whole seconds, the way, the drift of an hour.
    pub const SAME: Span = Span::from_secs(3_600);

    /// It tells what the host's clock shows, and not only what time it is at least.
    pub fn is_exact(&self) -> bool {
        matches!(self.by, Witness::Date | Witness::Hello | Witness::Hellos)
    }

    /// It differs from the capture's clock by more than a day.
    pub fn is_off(&self) -> bool {
        self.ahead.0.saturating_abs() > Self::OFF.0
    }

    /// A clock that was never set counts from 1970; so does a hello that tells the time since the machine began to run.
    pub fn may_count_from_start(&self, when: Stamp) -> bool {
        const TWO_YEARS: Stamp = Stamp::from_secs(2 * 365 * 86_400);
        self.by == Witness::Hellos && when + self.ahead < TWO_YEARS
    }

    /// What it says to people; `when` is its packet's time.
    pub fn says(&self, when: Stamp) -> String {
        let (host, time) = (self.host, Stamp::from_secs((when + self.ahead).secs()));
        let apart = Span(self.ahead.0.saturating_abs());
        let than = if self.ahead.0 < 0 { "behind" } else { "ahead of" };
        let near = if self.is_off() {
            format!("{apart} {than} the capture's")
        } else {
            "as the capture's".to_owned()
        };
        match self.by {
            Witness::Date => format!("an HTTP answer of {host} is dated {time}: its clock is {near}"),
            Witness::Hello => format!("the hello of {host} tells the time {time}: its clock is {near}"),
            Witness::Hellos => format!("two hellos of {host} tell times up to {time}: its clock is {near}"),
            Witness::Answer { .. } if !self.is_off() => {
                format!("the OCSP answer that {host} showed was produced at {time}, shortly before")
            }
            Witness::Answer { verified } => {
                let signed = if verified { "" } else { " (its signature could not be verified)" };
                format!(
                    "the OCSP answer that {host} showed was produced at {time}, {apart} after the packet{signed}"
                )
            }
            Witness::Timestamp => {
                format!("the certificate that {host} showed was logged at {time}, {apart} after the packet")
            }
            Witness::NotBefore => {
                format!("an unrelated certificate, of {host}, is valid from {time}, {apart} after the packet")
            }
        }
    }
}

/// How firmly the capture's own clock is contradicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contradiction {
    /// By one clock, which may be the wrong one.
    One,
    /// By several hosts, or by something signed.
    Firm,
}

/// What is known of the three clocks around an attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clocks {
    /// The client's clock.
    pub client: Option<Seen<Reading>>,
    /// The server's clock.
    pub server: Option<Seen<Reading>>,
    /// Somebody whose clock goes as the capture's.
    pub agrees: Option<Seen<Reading>>,
    /// What contradicts the capture's clock, by different hosts that agree with each other, at most four; empty where
    /// more say that it is right.
    pub against: Vec<Seen<Reading>>,
}

impl Clocks {
    /// Whether the capture's clock is contradicted, and how firmly.
    pub fn contradiction(&self) -> Option<Contradiction> {
        let signed = |seen: &Seen<Reading>| {
            matches!(seen.value.by, Witness::Answer { verified: true } | Witness::Timestamp)
        };
        match self.against.len() {
            0 => None,
            1 if !self.against.iter().any(signed) => Some(Contradiction::One),
            _ => Some(Contradiction::Firm),
        }
    }

    /// The earliest and the latest that a moment of the capture's clock may have been, for judging what else than
    /// certificates is dated: an OCSP answer alone does not say that it is itself in order.
    pub fn between(&self, at: Stamp) -> (Stamp, Stamp) {
        let answers_only = self.against.iter().all(|seen| matches!(seen.value.by, Witness::Answer { .. }));
        if self.contradiction() != Some(Contradiction::Firm) || answers_only {
            return (at, at);
        }
        let exact = self.against.iter().find(|seen| seen.value.is_exact());
        let other = exact.map_or(Stamp(i64::MAX), |seen| at + seen.value.ahead);
        (at.min(other), at.max(other))
    }

    /// How firmly the other clocks contradict that a date of a chain is wrong; `None` where it is by them too, and for
    /// defects of other kinds. `at` is the moment at which it was found by the capture's clock.
    pub fn doubt(&self, defect: &Defect, chain: &[Arc<Certificate>], at: Stamp) -> Option<Contradiction> {
        let contradiction = self.contradiction().filter(|_| defect.fault.is_of_the_moment())?;
        let cert = defect.cert.and_then(|place| chain.get(place));
        let exact = self.against.iter().find(|seen| seen.value.is_exact()).map(|seen| at + seen.value.ahead);
        let holds = match (defect.fault, exact) {
            (Fault::NotYetValid, None) => false,
            (Fault::NotYetValid, Some(at)) => cert.is_some_and(|cert| cert.not_before > at),
            // It is even later: what has expired has expired.
            (_, None) => true,
            (_, Some(at)) => cert.is_some_and(|cert| cert.not_after < at),
        };
        (!holds).then_some(contradiction)
    }
}

/// What a side's own clock makes of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own<'a> {
    /// It is not known.
    Unknown,
    /// By that clock too every date is in order.
    InOrder,
    /// By that clock a certificate has expired or has yet to become valid.
    Explains(&'a Seen<Reading>),
}

/// What a clock makes of a chain whose dates are in order by the capture's.
pub fn own<'a>(reading: Option<&'a Seen<Reading>>, chain: &[Arc<Certificate>], at: Stamp) -> Own<'a> {
    let Some(seen) = reading else { return Own::Unknown };
    let at = at + seen.value.ahead;
    // Roots come from the verifier's own store.
    let mut below_root =
        chain.iter().enumerate().filter(|(place, cert)| *place == 0 || !cert.is_self_issued());
    let in_order = below_root.all(|(_, cert)| cert.not_before <= at && at <= cert.not_after);
    match (in_order, seen.value.is_off()) {
        (true, _) => Own::InOrder,
        (false, true) => Own::Explains(seen),
        (false, false) => Own::Unknown,
    }
}

/// The time in a ClientHello; `None` where it is random for certain.
pub fn of_client(hello: &Seen<ClientHello>) -> Option<Seen<Stamp>> {
    let random = hello.value.highest_version().is_tls13() || hello.value.sslv2_framed;
    (!random).then(|| Seen { value: told(hello.value.random), at: hello.at.clone(), when: hello.when })
}

/// The time in a ServerHello; `None` where it is random for certain.
pub fn of_server(hello: &Seen<ServerHello>) -> Option<Seen<Stamp>> {
    let random = hello.value.version.is_tls13() || hello.value.retry;
    (!random).then(|| Seen { value: told(hello.value.random), at: hello.at.clone(), when: hello.when })
}

/// gmt_unix_time (RFC 5246 section 7.4.1.2).
fn told([a, b, c, d, ..]: [u8; 32]) -> Stamp {
    Stamp::from_secs(u32::from_be_bytes([a, b, c, d]).into())
}

/// What the hellos of an attempt tell, client first.
pub fn of_hellos(evidence: &Evidence) -> [Option<(Addr, Seen<Stamp>)>; 2] {
    let client = evidence.hello.as_deref().and_then(of_client).map(|seen| (evidence.client.addr, seen));
    let server =
        evidence.server_hello.as_deref().and_then(of_server).map(|seen| (evidence.server.addr, seen));
    [client, server]
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{CLIENT, SERVER, START, certificate, greeted, hello, seen};
    use super::*;
    use crate::tls::codes::Version;

    const YEAR: Span = Span::from_secs(365 * 86_400);

    fn reading(ahead: Span, by: Witness) -> Seen<Reading> {
        seen(Reading { host: SERVER.addr, ahead, by }, 3, 0)
    }

    fn against(readings: &[Seen<Reading>]) -> Clocks {
        Clocks { against: readings.to_vec(), ..Clocks::default() }
    }

    #[test]
    fn one_clock_may_be_wrong_itself_but_not_several_nor_what_is_signed() {
        assert_eq!(against(&[]).contradiction(), None);
        let date = reading(YEAR, Witness::Date);
        assert_eq!(against(std::slice::from_ref(&date)).contradiction(), Some(Contradiction::One));
        assert_eq!(against(&[date.clone(), date]).contradiction(), Some(Contradiction::Firm));
        for (by, how) in [
            (Witness::Answer { verified: true }, Contradiction::Firm),
            (Witness::Answer { verified: false }, Contradiction::One),
            (Witness::Timestamp, Contradiction::Firm),
        ] {
            assert_eq!(against(&[reading(YEAR, by)]).contradiction(), Some(how), "{by:?}");
        }
    }

    #[test]
    fn a_defect_holds_where_it_is_one_on_both_clocks() {
        let chain = [certificate("www.example.com", &[])]; // a day before to a day after the start
        let (earlier, later) = (START - Span(2 * Span::DAY.0), START + Span(2 * Span::DAY.0));
        let doubts = |clocks: &Clocks, fault, cert, at| {
            clocks.doubt(&Defect { fault, cert, says: String::new() }, &chain, at).is_some()
        };
        let ahead = against(&[reading(YEAR, Witness::Date)]);
        let behind = against(&[reading(Span(-YEAR.0), Witness::Date)]);
        let at_least = against(&[reading(YEAR, Witness::Timestamp)]);
        for (why, clocks, fault, cert, at, doubted) in [
            ("expired, and it is later", &ahead, Fault::LeafExpired, Some(0), later, false),
            ("expired, and it is later at least", &at_least, Fault::LeafExpired, Some(0), later, false),
            ("expired, but it is earlier", &behind, Fault::LeafExpired, Some(0), later, true),
            ("to come, and it is earlier", &behind, Fault::NotYetValid, Some(0), earlier, false),
            ("to come, but it is later", &ahead, Fault::NotYetValid, Some(0), earlier, true),
            ("to come, but it is later at least", &at_least, Fault::NotYetValid, Some(0), earlier, true),
            ("nothing contradicts", &Clocks::default(), Fault::NotYetValid, Some(0), earlier, false),
            ("which certificate is not known", &ahead, Fault::RootExpired, None, later, true),
            ("no date", &ahead, Fault::SelfSigned, Some(0), later, false),
        ] {
            assert_eq!(doubts(clocks, fault, cert, at), doubted, "{why}");
        }
    }

    #[test]
    fn a_moment_lies_between_the_clocks_that_contradict_each_other() {
        let (date, answer) =
            (reading(YEAR, Witness::Date), reading(YEAR, Witness::Answer { verified: true }));
        let logged = reading(YEAR, Witness::Timestamp);
        for (why, readings, latest) in [
            ("nobody contradicts", vec![], START),
            ("one clock may be wrong", vec![date.clone()], START),
            ("an answer does not speak for itself", vec![answer.clone()], START),
            ("two clocks", vec![date.clone(), date.clone()], START + YEAR),
            ("at least", vec![answer, logged], Stamp(i64::MAX)),
        ] {
            assert_eq!(against(&readings).between(START), (START, latest), "{why}");
        }
    }

    #[test]
    fn a_clock_explains_a_rejection_where_the_chain_is_out_of_date_by_it() {
        let chain = [certificate("www.example.com", &[])];
        let off = reading(YEAR, Witness::Hellos);
        assert_eq!(own(Some(&off), &chain, START), Own::Explains(&off));
        let right = reading(Span::from_secs(2), Witness::Hello);
        assert_eq!(own(Some(&right), &chain, START), Own::InOrder);
        let nearly = reading(Span::DAY, Witness::Hello);
        assert_eq!(own(Some(&nearly), &chain, START + Span::from_secs(9)), Own::Unknown);
        assert_eq!(own(None, &chain, START), Own::Unknown);
    }

    #[test]
    fn hellos_of_tls13_tell_no_time() {
        let mut hello = hello();
        assert_eq!(of_client(&seen(hello.clone(), 4, 0)), None);
        hello.supported_versions.clear();
        hello.random[..4].copy_from_slice(&1_795_000_001_u32.to_be_bytes());
        assert_eq!(of_client(&seen(hello, 4, 0)).unwrap().value, START + Span::from_secs(1));
        let mut server = ServerHello { version: Version::TLS13, ..ServerHello::default() };
        assert_eq!(of_server(&seen(server.clone(), 5, 0)), None);
        server.version = Version::TLS12;
        assert_eq!(of_server(&seen(server, 5, 0)).unwrap().value, Stamp(0));
        assert!(of_hellos(&greeted()).iter().all(Option::is_none));
    }

    #[test]
    fn a_reading_is_said_in_words() {
        let host = CLIENT.addr;
        let says = |ahead, by| Reading { host, ahead, by }.says(START);
        let right = says(Span::from_secs(1), Witness::Hello);
        assert!(right.ends_with("its clock is as the capture's"), "{right}");
        let wrong = says(Span(-YEAR.0), Witness::Date);
        assert!(wrong.contains("10.0.0.7") && wrong.ends_with("365 d behind the capture's"), "{wrong}");
        let future = says(YEAR, Witness::Answer { verified: false });
        assert!(future.ends_with("365 d after the packet (its signature could not be verified)"), "{future}");
    }

    #[test]
    fn a_clock_near_1970_may_be_the_time_since_the_start() {
        let since = |secs| Span(Stamp::from_secs(secs).0 - START.0);
        assert!(reading(since(2_486_404), Witness::Hellos).value.may_count_from_start(START));
        assert!(!reading(since(2_486_404), Witness::Date).value.may_count_from_start(START));
        assert!(!reading(since(946_684_800), Witness::Hellos).value.may_count_from_start(START));
    }
}
