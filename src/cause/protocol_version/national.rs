//! TLCP and the national suites of TLS 1.3 against TLS with the suites of everybody else: `gm_only`.
//!
//! Measured: Tongsuo's server answers a hello of TLS with handshake_failure in a record of TLCP. To a hello of TLCP nginx,
//! HAProxy, Apache and Node.js close, Python's `ssl` and stunnel reset, GnuTLS and JSSE say protocol_version and rustls
//! decode_error in records of TLS.

use super::super::culprit::Weighed;
use super::super::{Certainty, Finding, Party};
use crate::base::{Packets, Side};
use crate::evidence::around::National;
use crate::evidence::{Chain, Ending, Evidence};
use crate::tls::codes::{CipherSuite, Version};
use crate::tls::hello::ClientHello;

/// The side that speaks national cryptography alone met one that does not speak it.
pub(super) fn only(e: &Evidence, hello: &ClientHello) -> Option<Finding> {
    if asked(hello) { by_client(e) } else { by_server(e, hello) }
}

/// TLCP, or nothing but its suites.
pub(super) fn asked(hello: &ClientHello) -> bool {
    let mut suites = hello.ciphers.iter().filter(|suite| !suite.is_signal()).peekable();
    hello.legacy_version == Version::TLCP || (suites.peek().is_some() && suites.all(|suite| suite.is_tlcp()))
}

/// An offer that any server of TLCP with a pair of certificates can take: several suites, the one that it must speak among
/// them (GB/T 38636 section 6.4.5.2.1).
pub(super) fn ordinary(hello: &ClientHello) -> bool {
    asked(hello) && hello.ciphers.len() >= 2 && hello.ciphers.contains(&CipherSuite(0xe013))
}

/// A client of TLCP, and a server that has shown no such thing.
fn by_client(e: &Evidence) -> Option<Finding> {
    if !unanswered(e) || e.around.national.is_some() {
        return None;
    }
    let finding = |certainty, says: String| {
        Some(Finding::new(certainty, "gm_only", Party::Client, &e.ending.at, says))
    };
    match &e.ending.value {
        Ending::Alert { from: Side::Server, alert } => {
            let record = e.server_record.filter(|version| version.is_tls())?;
            let says = format!("the server refuses a hello of TLCP with {} in a record of {record}", alert.description);
            match alert.description.0 {
                70 => finding(Certainty::Proven, says),
                10 | 40 | 47 | 50 => finding(Certainty::Inferred, says),
                _ => None,
            }
        }
        _ => {
            let close = Close::of(e)?;
            // OpenSSL's servers reset by closing with the hello half read; so do filters of what they do not know.
            let unsure = close.reset && e.around.server_completes.is_none();
            let certainty = if unsure { Certainty::Suspected } else { Certainty::Inferred };
            let says = format!("the server {} a hello of TLCP without an answer", close.word());
            let finding = Finding::new(certainty, "gm_only", Party::Client, close.at, says);
            Some(match &e.around.server_completes {
                Some(seen) => finding.and(&seen.at, "the same server completes handshakes of TLS"),
                None => finding,
            })
        }
    }
}

/// A client of TLS, and a server that shows national cryptography and nothing else.
fn by_server(e: &Evidence, hello: &ClientHello) -> Option<Finding> {
    let finding = |certainty, says: String| {
        Some(Finding::new(certainty, "gm_only", Party::Server, &e.ending.at, says))
    };
    if let Some(chosen) = &e.server_hello {
        let Ending::Alert { from: Side::Client, alert } = &e.ending.value else { return None };
        // A client that takes both may object to what comes behind, as the certificates.
        let certainty = match alert.description.0 {
            _ if chosen.value.version != Version::TLCP => return None,
            70 => Certainty::Proven,
            10 | 40 | 47 | 50 => Certainty::Inferred,
            _ => return None,
        };
        let says = "the client refuses TLCP, which the server chose for a hello of TLS";
        let said = format!("the client says {}", alert.description);
        return Some(Finding::new(certainty, "gm_only", Party::Server, &chosen.at, says).and(&e.ending.at, said));
    }
    if !unanswered(e) {
        return None;
    }
    if let Ending::Alert { from: Side::Server, alert } = &e.ending.value
        && e.server_record == Some(Version::TLCP)
    {
        let says = format!("the server refuses a hello of TLS with {} in a record of TLCP 1.1", alert.description);
        return finding(Certainty::Proven, says);
    }
    let National { seen, also_others: false } = e.around.national.as_ref()? else { return None };
    let (version, suite) = seen.value;
    if version != Version::TLCP && hello.ciphers.iter().any(|suite| suite.is_national()) {
        return None;
    }
    let (at, says) = match &e.ending.value {
        Ending::Alert { from: Side::Server, alert } if matches!(alert.description.0, 40 | 47 | 70 | 71 | 80) => {
            (&e.ending.at, format!("the server refuses the hello with {}", alert.description))
        }
        _ => {
            let close = Close::of(e)?;
            (close.at, format!("the server {} the hello without an answer", close.word()))
        }
    };
    let spoke = match suite {
        Some(suite) => format!("elsewhere the server chose {suite} of {version}, and nothing else in this capture"),
        None => format!("elsewhere the server answered in records of {version}"),
    };
    Some(Finding::new(Certainty::Inferred, "gm_only", Party::Server, at, says).and(&seen.at, spoke))
}

/// The server left without a word.
struct Close<'a> {
    at: &'a Packets,
    reset: bool,
}

impl<'a> Close<'a> {
    /// `None` also for a reset that somebody else sent: of that the server knows nothing.
    fn of(e: &'a Evidence) -> Option<Self> {
        match &e.ending.value {
            Ending::Fin { from: Side::Server } => Some(Self { at: &e.ending.at, reset: false }),
            // GnuTLS, JSSE and others say what they think of such a close.
            Ending::Alert { from: Side::Client, .. } => {
                let fin = e.tcp.fin.server.as_ref().filter(|_| e.tcp.bytes.server == 0)?;
                (fin.at.first() < e.ending.at.first()).then_some(Self { at: &fin.at, reset: false })
            }
            Ending::Reset { from: Side::Server } => {
                let mut resets = e.tcp.resets.iter().filter(|reset| reset.value.from == Side::Server);
                let forged = resets.any(|reset| Weighed::reset(e, &reset.value).contradicted());
                (!forged).then_some(Self { at: &e.ending.at, reset: true })
            }
            _ => None,
        }
    }

    fn word(&self) -> &'static str {
        if self.reset { "reset" } else { "closed on" }
    }
}

/// The server chose nothing.
fn unanswered(e: &Evidence) -> bool {
    e.server_hello.is_none() && e.retry.is_none() && matches!(e.chain, Chain::Unsent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Judgement;
    use crate::cause::protocol_version::judge;
    use crate::evidence::fixture::{alert, answered, ends, greeted, reset, seen};

    fn found(e: &Evidence) -> Option<(Certainty, &'static str, Party)> {
        judge(e).found().map(|finding| (finding.certainty, finding.reason, finding.party))
    }

    /// A hello of TLCP.
    fn tlcp() -> Evidence {
        let mut e = greeted();
        let hello = &mut e.hello.as_mut().unwrap().value;
        hello.legacy_version = Version::TLCP;
        hello.supported_versions.clear();
        hello.ciphers = vec![CipherSuite(0xe013), CipherSuite(0xe053)];
        e
    }

    fn refused(mut e: Evidence, code: u8, record: Version) -> Evidence {
        e.server_record = Some(record);
        alert(e, Side::Server, code)
    }

    fn closed(mut e: Evidence) -> Evidence {
        ends(&mut e, Ending::Fin { from: Side::Server }, 5, 41);
        e
    }

    fn known(mut e: Evidence, version: Version, suite: u16, also_others: bool) -> Evidence {
        let seen = seen((version, Some(CipherSuite(suite))), 2, 0);
        e.around.national = Some(National { seen, also_others });
        e
    }

    const CLIENT: Party = Party::Client;
    const SERVER: Party = Party::Server;

    #[test]
    fn a_tlcp_client_refused_in_a_record_of_tls() {
        assert_eq!(found(&refused(tlcp(), 70, Version::TLS12)), Some((Certainty::Proven, "gm_only", CLIENT)));
        assert_eq!(found(&refused(tlcp(), 50, Version::TLS12)), Some((Certainty::Inferred, "gm_only", CLIENT)));
    }

    #[test]
    fn a_close_on_a_tlcp_hello() {
        assert_eq!(found(&closed(tlcp())), Some((Certainty::Inferred, "gm_only", CLIENT)));
        assert_eq!(found(&closed(greeted())), None, "of TLS, a close says nothing");
    }

    #[test]
    fn a_reset_of_a_tlcp_hello_is_less_sure_unless_the_server_serves_others() {
        let mut e = reset(tlcp(), Side::Server, &[]);
        assert_eq!(found(&e), Some((Certainty::Suspected, "gm_only", CLIENT)));
        e.around.server_completes = Some(seen((), 1, 0));
        assert_eq!(found(&e), Some((Certainty::Inferred, "gm_only", CLIENT)));
    }

    #[test]
    fn absent_where_a_server_of_tlcp_refuses_its_own_kind() {
        let e = refused(tlcp(), 40, Version::TLCP);
        assert!(found(&e).is_none_or(|(_, reason, _)| reason != "gm_only"));
        assert_eq!(found(&closed(known(tlcp(), Version::TLCP, 0xe013, false))), None);
    }

    #[test]
    fn a_tls_client_refused_in_a_record_of_tlcp() {
        assert_eq!(found(&refused(greeted(), 40, Version::TLCP)), Some((Certainty::Proven, "gm_only", SERVER)));
        assert_eq!(found(&refused(greeted(), 40, Version::TLS12)), None);
    }

    #[test]
    fn a_tls_client_that_is_answered_with_tlcp() {
        let e = alert(answered(Version::TLCP), Side::Client, 70);
        assert_eq!(found(&e), Some((Certainty::Proven, "gm_only", SERVER)));
        let e = alert(answered(Version::TLCP), Side::Client, 47);
        assert_eq!(found(&e), Some((Certainty::Inferred, "gm_only", SERVER)));
        let e = alert(answered(Version::TLCP), Side::Client, 45);
        assert_eq!(found(&e), None, "it went on to the certificates");
    }

    #[test]
    fn a_close_by_a_server_that_speaks_tlcp_with_others() {
        let e = |also| closed(known(greeted(), Version::TLCP, 0xe013, also));
        assert_eq!(found(&e(false)), Some((Certainty::Inferred, "gm_only", SERVER)));
        assert_eq!(found(&e(true)), None, "it speaks TLS too");
    }

    #[test]
    fn a_close_that_the_client_comments_is_the_servers() {
        let mut e = alert(known(greeted(), Version::TLCP, 0xe013, false), Side::Client, 40);
        assert_eq!(found(&e), None);
        e.tcp.fin.server = Some(seen((), 5, 41));
        assert_eq!(found(&e), Some((Certainty::Inferred, "gm_only", SERVER)));
        e.tcp.bytes.server = 7;
        assert_eq!(found(&e), None, "the server had said something");
    }

    #[test]
    fn a_server_of_sm4_in_tls_refuses_an_offer_without() {
        let e = || refused(known(greeted(), Version::TLS13, 0x00c6, false), 40, Version::TLS12);
        assert_eq!(found(&e()), Some((Certainty::Inferred, "gm_only", SERVER)));
        let mut offered = e();
        offered.hello.as_mut().unwrap().value.ciphers.push(CipherSuite(0x00c6));
        assert!(found(&offered).is_none_or(|(_, reason, _)| reason != "gm_only"), "the client offers SM4 itself");
    }

    #[test]
    fn blind_without_the_hello() {
        let mut e = refused(greeted(), 40, Version::TLCP);
        e.hello = None;
        assert!(matches!(judge(&e), Judgement::Blind(_)));
    }
}
