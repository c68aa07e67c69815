//! What was refused in clear by policy: by a proxy, or by something that writes over STARTTLS.

use super::{Certainty, Finding, Judgement, Party};
use crate::evidence::upgrade::{Upgrade, Why};
use crate::evidence::{Ending, Evidence, Protocol};

/// Judges what was refused in clear; `None` where nothing was.
pub(super) fn judge(e: &Evidence) -> Option<Judgement> {
    let Ending::Refused { said } = &e.ending.value else { return None };
    let upgrade = e.upgrade.as_deref()?;
    let by_proxy = |certainty, reason, party, what: &str| {
        let says = format!("the proxy {what}: \"{said}\"");
        let asked = match &e.proxied {
            Some(to) => format!("the client asked for {}, port {}", to.value.host, to.value.port),
            None => String::from("the client asked for a way"),
        };
        Finding::new(certainty, reason, party, &e.ending.at, says).and(&upgrade.asked.at, asked)
    };
    Some(Judgement::Found(match upgrade.why()? {
        Why::Policy => by_proxy(Certainty::Proven, "proxy_refused", Party::Path, "refuses by policy"),
        Why::Credentials if upgrade.protocol == Protocol::HttpConnect => {
            let what = if upgrade.credentials {
                "does not take the client's credentials"
            } else {
                "asks for credentials, and the client showed none"
            };
            by_proxy(Certainty::Proven, "proxy_authentication", Party::Client, what)
        }
        Why::Credentials => {
            by_proxy(Certainty::Inferred, "proxy_authentication", Party::Client, "does not know the user")
        }
        Why::Closed => {
            by_proxy(Certainty::Suspected, "port_closed", Party::Server, "says that the server refused")
        }
        Why::Stripped => stripped(e, upgrade, said),
        Why::Unreached => {
            return Some(Judgement::Blind("the proxy does not say what keeps it from the server"));
        }
        Why::Trouble | Why::Unable | Why::Unsupported | Why::OtherWay | Why::NoName | Why::Unclear => {
            return Some(Judgement::Absent);
        }
    }))
}

fn stripped(e: &Evidence, upgrade: &Upgrade, said: &str) -> Finding {
    const REASON: &str = "starttls_stripped";
    match &upgrade.masked {
        Some(masked) => {
            let says = format!("something on the way has written \"{}\" over STARTTLS", masked.value);
            Finding::new(Certainty::Inferred, REASON, Party::Path, &masked.at, says)
                .and(&e.ending.at, format!("the server refuses TLS with \"{said}\""))
        }
        None => {
            let says = format!("the server's list has \"{said}\", as long as STARTTLS, and the client left");
            Finding::new(Certainty::Suspected, REASON, Party::Path, &e.ending.at, says)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::*;
    use crate::evidence::Proxied;
    use crate::evidence::fixture::{refused, seen};

    fn by_proxy(why: Why) -> Evidence {
        let mut e = refused(why);
        e.upgrade.as_mut().unwrap().protocol = Protocol::HttpConnect;
        e.proxied = Some(seen(Proxied { host: "www.example.com".into(), port: 443 }, 5, 60).into());
        e
    }

    fn found(e: &Evidence) -> (Certainty, &'static str, Party) {
        let Judgement::Found(finding) = judge(e) else { panic!("{:?}", judge(e)) };
        (finding.certainty, finding.reason, finding.party)
    }

    #[test]
    fn found_where_a_proxy_refuses_by_policy_or_for_want_of_credentials() {
        assert_eq!(found(&by_proxy(Why::Policy)), (Certainty::Proven, "proxy_refused", Party::Path));
        let mut e = by_proxy(Why::Credentials);
        assert_eq!(found(&e), (Certainty::Proven, "proxy_authentication", Party::Client));
        e.upgrade.as_mut().unwrap().protocol = Protocol::Socks;
        assert_eq!(found(&e).0, Certainty::Inferred, "a general code");
    }

    #[test]
    fn a_port_that_the_proxy_finds_closed_is_suspected() {
        assert_eq!(found(&by_proxy(Why::Closed)), (Certainty::Suspected, "port_closed", Party::Server));
    }

    #[test]
    fn found_where_starttls_was_written_over() {
        let mut e = refused(Why::Stripped);
        assert_eq!(found(&e), (Certainty::Suspected, "starttls_stripped", Party::Path), "nobody asked");
        e.upgrade.as_mut().unwrap().masked = Some(seen("250-XXXXXXXA".to_owned(), 4, 40));
        assert_eq!(found(&e), (Certainty::Inferred, "starttls_stripped", Party::Path));
    }

    #[test]
    fn absent_where_the_server_itself_says_why_it_has_no_tls() {
        for why in [Why::Trouble, Why::Unable, Why::Unsupported, Why::OtherWay, Why::NoName, Why::Unclear] {
            assert_eq!(judge(&refused(why)), Judgement::Absent);
        }
    }

    #[test]
    fn blind_where_the_proxy_does_not_say_what_keeps_it_away() {
        assert!(matches!(judge(&by_proxy(Why::Unreached)), Judgement::Blind(_)));
    }
}
