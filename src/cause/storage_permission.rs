//! The server could not load its own key or certificate: a file that is absent, unreadable or
//! misnamed, often after a renewal.
//!
//! # Symptoms
//!
//! Every client fails at once, from one moment on, and mostly right after a deployment or a renewal:
//! `tlsv1 alert internal error`, `sslv3 alert handshake failure` with every client,
//! `connection refused`, `454 TLS not available`, or a certificate for `localhost`. The server's log has the true
//! word: `cannot load certificate key … Permission denied`, `no shared cipher`, `BIO_new_file … failed`.
//!
//! # On the wire
//!
//! - Alert 80 in clear one round trip after the ClientHello, before any certificate: nginx that
//!   loads a certificate by variable and cannot read it: `internal_error_before_certificate`.
//! - Alert 40 to an ordinary offer of TLS 1.2 and 1.3, or to any ordinary offer again and again, by a server that
//!   completes with nobody: it may run without a certificate: `no_certificate_loaded`, `suspected`. So does 49 before
//!   ServerHello, which rustls says. OpenSSL says 70 to a client of TLS 1.3 alone; that reads as a version first.
//! - After STARTTLS and its kin a no in clear that tells of a trouble of the server's own: SMTP 454, FTP 431,
//!   `[UNAVAILABLE]`, `[SYS/TEMP]`, RDP's SSL_CERT_NOT_ON_SERVER, "TLS initialization failed", at once or behind an agreement (Dovecot agrees, then
//!   says goodbye): `no_certificate_loaded`, `inferred`. A no without such a word (IMAP `NO`, NNTP 580, LDAP
//!   unavailable, `-ERR` or `<failure>` of a server that offered TLS) is `suspected`. A command that the server does
//!   not know is protocol_version. A client that goes on in clear did not insist: the attempt is abandoned, not failed.
//! - On the ports of IMAP and POP3 over TLS a close without a word on a whole, ordinary hello, by a server that
//!   completes with nobody: Dovecot without a key, `suspected`. Elsewhere such a close leaves this open.
//! - A RST to the SYN, or a proxy's word that its connection was refused (SOCKS5 reply 5, Squid's `ERR_CONNECT_FAIL 111`,
//!   `connection_refused` in Proxy-Status): the service did not start at all: `listener_gone`. A closed port looks the
//!   same whatever the reason.
//! - A self-signed certificate for `localhost` or the machine's own name: the fallback that is used
//!   when the real one cannot be loaded: `snakeoil_certificate`.
//!
//! The file system is not on the wire: no reading here is more than `inferred`.
//!
//! # Remedy
//!
//! Read the server's log of that moment. Let the server's account read key and chain and every
//! directory above them, and have the renewal test the configuration before it reloads.
//!
//! # References
//!
//! - RFC 9846 section 6.2: internal_error (80), handshake_failure (40).
//! - RFC 3207 section 4 (454), RFC 2228 section 5.1 (431), RFC 5530 section 3, RFC 3206 section 4, RFC 9051 section 6.2.1,
//!   RFC 4642 section 2.2.2, RFC 4511 section 4.14.2, RFC 5804 section 2.2, RFC 6120 section 5.4.2.2: refusals in clear.
//! - RFC 1928 section 6 (SOCKS5), RFC 9209 (Proxy-Status), \[MS-RDPBCGR\] section 2.2.1.2.2: refusals of proxies and RDP.
//! - Postfix: smtpd says 454 where its TLS engine did not start. Dovecot: login processes close where it does not.
//! - nginx: `ssl_certificate` (variables load per handshake, as the worker's user).
//! - OpenSSL: `SSL_CTX_use_PrivateKey_file`, `SSL_R_NO_SHARED_CIPHER` without a certificate.
//! - systemd.exec: `LoadCredential=`, a way to hand keys to services without wide permissions.

use super::{Certainty, Finding, Judgement, Party, Reason};
use crate::base::{Side, Span};
use crate::evidence::upgrade::{Why, tells_trouble};
use crate::evidence::around::Passed;
use crate::evidence::{Chain, Ending, Evidence, Protocol, Stage};
use crate::tls::cert::Certificate;
use crate::tls::chain::Fault;
use crate::tls::codes::Version;
use crate::tls::hello::ClientHello;
use crate::tls::sealed::looks_like_alert;

/// The reasons.
pub const REASONS: &[Reason] = &[
    Reason {
        word: "internal_error_before_certificate",
        remedy: "The server failed inside before it could show a certificate; most often its key or certificate file cannot be read at that moment.",
        steps: &[
            "Read the server's error log at the time of the cited alert.",
            "Try as the server's account: sudo -u www-data openssl pkey -in KEY -noout.",
            "Give that account read access to the file and search access to every directory above it (namei -l KEY).",
            "Reload and try with openssl s_client -connect HOST:443 -servername NAME.",
        ],
    },
    Reason {
        word: "no_certificate_loaded",
        remedy: "The server refuses TLS, or every ordinary offer, as one without a certificate does. Check that it has loaded a key and a chain for this name.",
        steps: &[
            "Look for a load error at the server's last start, and (Postfix, Dovecot) at the time of the refusal.",
            "Check the configured paths, and that key and certificate belong together (compare openssl pkey -pubout with openssl x509 -pubkey).",
            "If a certificate is loaded, compare the server's suites and groups with the offer: then it is protocol_version.",
        ],
    },
    Reason {
        word: "snakeoil_certificate",
        remedy: "The server shows the self-signed certificate of its installation instead of the one for the name: the real one is not configured or was not loaded.",
        steps: &[
            "Find the virtual host that answers for the name, and its certificate path.",
            "Look for a load error that made the server fall back.",
            "Install the right chain, reload, and remove the default certificate.",
        ],
    },
    Reason {
        word: "listener_gone",
        remedy: "Nobody listens on the port: a server that cannot read its key often does not start. Look at the service before the network.",
        steps: &[
            "systemctl status SERVICE and journalctl -u SERVICE: did it fail at start?",
            "Test the configuration: nginx -t, apachectl configtest, haproxy -c -f FILE.",
            "Mend permissions or paths, start it, and have the renewal hook run the test first.",
        ],
    },
];

/// Common names of the certificates that installers make.
const INSTALLED: [&str; 7] = [
    "localhost",
    "snakeoil",
    "example.com",
    "default",
    "self-signed",
    "kubernetes ingress controller",
    "traefik",
];

/// IMAP and POP3 over TLS (RFC 8314 section 3): most servers of these are Dovecot.
const MAIL: [u16; 2] = [993, 995];
/// A close later than this after the hello does not answer it.
const PROMPT: Span = Span::from_secs(2);

/// Judges.
pub fn judge(e: &Evidence) -> Judgement {
    if let Some(judgement) = in_clear(e) {
        return judgement;
    }
    if e.stage == Stage::Dns || e.client_key_exchange.is_some() {
        return Judgement::Absent;
    }
    if let Chain::Clear(_) = e.chain {
        return snakeoil(e).map_or(Judgement::Absent, Judgement::Found);
    }
    // A server of TLCP refuses every hello of TLS, whatever it has loaded.
    let is_tlcp = |hello: &ClientHello| hello.legacy_version == Version::TLCP;
    if e.server_record == Some(Version::TLCP) && e.hello.as_ref().is_some_and(|hello| !is_tlcp(&hello.value)) {
        return Judgement::Absent;
    }
    if let Some(finding) = no_flight(e) {
        return Judgement::Found(finding);
    }
    if e.stage > Stage::ServerHello {
        return Judgement::Absent;
    }
    if e.stage == Stage::Tcp {
        return gone(e).map_or(Judgement::Absent, Judgement::Found);
    }
    if let Some(judgement) = wordless(e) {
        return judgement;
    }
    let Some((Side::Server, alert, at)) = e.fatal_alert() else { return Judgement::Absent };
    match alert.description.0 {
        80 => Judgement::Found(Finding::new(
            Certainty::Inferred,
            "internal_error_before_certificate",
            Party::Server,
            at,
            "the server failed inside before it showed a certificate",
        )),
        // rustls says access_denied where its resolver has no certificate for the hello (`ExpectClientHello` in
        // rustls/src/server/hs.rs); others deny access only to those who showed a certificate.
        49 if e.server_hello.is_none() => Judgement::Found(Finding::new(
            Certainty::Suspected,
            "no_certificate_loaded",
            Party::Server,
            at,
            "the server denies access before it chose anything, as rustls does without a certificate for the name",
        )),
        40 if e.server_record == Some(Version::TLCP) && e.around.server_completes.is_none() => {
            Judgement::Blind("a server of TLCP without its pair of certificates refuses every offer")
        }
        // A HelloRetryRequest or ServerHello chose suite and group: something else was amiss.
        40 if e.server_hello.is_none() && e.retry.is_none() => refused(e, at),
        // OpenSSL counts TLS 1.3 among its versions only with a certificate (`is_tls13_capable` in
        // ssl/statem/statem_lib.c).
        70 if e.server_hello.is_none() && e.around.server_completes.is_none() && only13(e) => {
            Judgement::Blind("a server without a certificate, too, refuses the version of an offer of TLS 1.3 alone")
        }
        _ => Judgement::Absent,
    }
}

/// Behind TLS 1.3 the server breaks off with a sealed alert where its certificate belongs, as JSSE does that has none to
/// show (`CertificateMessage.T13CertificateProducer`).
fn no_flight(e: &Evidence) -> Option<Finding> {
    /// EncryptedExtensions are shorter, a Certificate is longer.
    const EXTENSIONS: u16 = 200;
    let hello = e.server_hello.as_ref().filter(|hello| hello.value.version.is_tls13() && !hello.value.psk)?;
    let by_server = matches!(
        e.ending.value,
        Ending::Fin { from: Side::Server } | Ending::Reset { from: Side::Server } | Ending::SealedAlert { from: Side::Server, .. }
    );
    let records = &e.sealing.records.server;
    let alert = records.iter().find(|record| looks_like_alert(record.len, hello.value.cipher, hello.value.version))?;
    let before = records.iter().take_while(|record| record.at <= alert.at);
    if e.sealing.finished.client.is_some()
        || !by_server || !ordinary(e) || before.clone().count() > 2 || before.clone().any(|record| record.len > EXTENSIONS) {
        return None;
    }
    let says = "the server breaks off with a sealed alert where its certificate belongs";
    Some(
        Finding::new(Certainty::Suspected, "no_certificate_loaded", Party::Server, alert.at, says)
            .and(&hello.at, "it had chosen a suite and a group from the offer"),
    )
}

/// The server refused TLS in clear, behind a request in clear or a hello.
fn in_clear(e: &Evidence) -> Option<Judgement> {
    const REASON: &str = "no_certificate_loaded";
    if let Ending::PlainText { said } = &e.ending.value {
        return tells_trouble(said).then(|| {
            let says = format!("the server answers the ClientHello with \"{said}\"");
            Judgement::Found(Finding::new(Certainty::Inferred, REASON, Party::Server, &e.ending.at, says))
        });
    }
    let Ending::Refused { said } = &e.ending.value else { return None };
    let upgrade = e.upgrade.as_deref()?;
    let certainty = match upgrade.why()? {
        Why::Trouble => Certainty::Inferred,
        Why::Unable => Certainty::Suspected,
        Why::Closed => return Some(closed_behind_proxy(e, said)),
        Why::Unclear => return Some(Judgement::Blind("the server's words do not say why it refuses TLS")),
        Why::Unreached => return Some(Judgement::Blind("the proxy does not say why it did not reach the server")),
        Why::Unsupported | Why::OtherWay | Why::Stripped | Why::Policy | Why::Credentials | Why::NoName => {
            return Some(Judgement::Absent);
        }
    };
    let says = format!("the server refuses TLS with \"{said}\"");
    let finding = Finding::new(certainty, REASON, Party::Server, &e.ending.at, says)
        .and(&upgrade.asked.at, format!("the client asked for TLS in {}", upgrade.protocol.word()));
    Some(Judgement::Found(match &upgrade.accepted {
        Some(accepted) => finding.and(&accepted.at, "the server had agreed"),
        None => finding,
    }))
}

/// The proxy says that the server refused its connection.
fn closed_behind_proxy(e: &Evidence, said: &str) -> Judgement {
    let to = e.proxied.as_ref().map_or_else(String::new, |to| format!(" to {}, port {}", to.value.host, to.value.port));
    let says = format!("the proxy says that its connection{to} was refused: \"{said}\"");
    Judgement::Found(Finding::new(Certainty::Suspected, "listener_gone", Party::Server, &e.ending.at, says))
}

/// The server took the whole hello and closed without a word, as Dovecot does whose key cannot be loaded; so does what
/// stands before a server that is down, or reads host names.
fn wordless(e: &Evidence) -> Option<Judgement> {
    let hello = e.hello.as_ref()?;
    let by_server =
        matches!(e.ending.value, Ending::Fin { from: Side::Server } | Ending::Reset { from: Side::Server });
    let taken = e.tcp.acked.server.is_some_and(|acked| acked >= e.tcp.bytes.client);
    let doubted = e.tcp.resets.iter().any(|reset| !reset.value.doubts.is_empty());
    let proxied = e.proxied.is_some() || e.prelude.is_some_and(Protocol::is_proxy);
    if !by_server
        || !taken
        || doubted
        || proxied
        || e.stage > Stage::ClientHello
        || e.retry.is_some()
        || e.tcp.syn.is_none()
        || e.tcp.hole.server.is_some()
        || e.around.server_completes.is_some()
    {
        return None;
    }
    let mail = e.prelude.is_none() && MAIL.contains(&e.server.port);
    let prompt = e.ending.when - hello.when < PROMPT;
    if !(mail && prompt && ordinary(e)) {
        return Some(Judgement::Blind("a server that cannot load its key may close on a hello without a word"));
    }
    let says = "the server took the hello, closed without a word, and completes with nobody in this capture";
    Some(Judgement::Found(
        Finding::new(Certainty::Suspected, "no_certificate_loaded", Party::Server, &e.ending.at, says)
            .and(&hello.at, "an ordinary modern offer"),
    ))
}

/// 40 to an offer that every server can take.
fn refused(e: &Evidence, at: &crate::base::Packets) -> Judgement {
    let Some(hello) = &e.hello else { return Judgement::Absent };
    if e.around.server_completes.is_some() || !ordinary(e) {
        return Judgement::Absent;
    }
    let both = hello.value.supported_versions.contains(&Version::TLS12)
        && hello.value.supported_versions.iter().any(|version| version.is_tls13());
    if e.around.repeats == 0 && !both {
        return Judgement::Blind(
            "one refusal cannot tell a server without a certificate from one that shares no version or suite",
        );
    }
    let before = match e.around.repeats {
        0 => String::new(),
        times => format!(", {times} times before"),
    };
    let says = format!("the server refused the offer{before}, and completes with nobody in this capture");
    Judgement::Found(
        Finding::new(Certainty::Suspected, "no_certificate_loaded", Party::Server, at, says)
            .and(&hello.at, "an ordinary modern offer"),
    )
}

/// The client offers TLS 1.3 and nothing older.
fn only13(e: &Evidence) -> bool {
    let is13 = |version: &Version| version.is_tls13() || crate::tls::codes::is_grease(version.0);
    e.hello.as_ref().is_some_and(|hello| {
        let versions = &hello.value.supported_versions;
        !versions.is_empty() && versions.iter().all(is13)
    })
}

/// Suites, versions and groups of a client of today.
fn ordinary(e: &Evidence) -> bool {
    let only13 = only13(e);
    e.hello.as_ref().is_some_and(|hello| {
        let hello = &hello.value;
        let usable = hello.ciphers.iter().filter(|suite| !suite.is_signal() && !suite.weak()).count();
        let modern = hello.supported_versions.iter().any(|version| *version >= Version::TLS12)
            || (hello.supported_versions.is_empty() && hello.legacy_version == Version::TLS12);
        modern
            && (usable >= 5 || (only13 && usable >= 2))
            && (hello.groups.len() >= 2 || hello.groups.is_empty())
    })
}

/// The port is closed.
fn gone(e: &Evidence) -> Option<Finding> {
    let syn = e.tcp.syn.as_ref()?;
    let reset = e.tcp.resets.iter().find(|reset| reset.value.from == Side::Server)?;
    // Another client got in meanwhile.
    let listens = e.around.contrast.as_ref().is_some_and(|contrast| {
        matches!(contrast.passed.value, Passed::Client(_)) && contrast.alike.value >= 2
    });
    if e.tcp.syn_ack.is_some() || !reset.value.doubts.is_empty() || listens {
        return None;
    }
    Some(
        Finding::new(
            Certainty::Suspected,
            "listener_gone",
            Party::Server,
            &reset.at,
            format!("{} refused the connection: nobody listens", e.server),
        )
        .and(&syn.at, "the SYN that was refused"),
    )
}

/// The certificate of an installation, rejected.
pub fn snakeoil(e: &Evidence) -> Option<Finding> {
    let chain = e.chain.clear()?;
    let [leaf, ..] = chain.value.as_slice() else { return None };
    let (Side::Client, alert, at) = e.fatal_alert()? else { return None };
    if !matches!(alert.description.0, 42 | 46 | 48) {
        return None;
    }
    // Where the capture lacks the hello, a stock name still tells, though less surely.
    let (sni, certainty) = match e.hello {
        Some(_) => (e.sni()?, Certainty::Inferred),
        None => ("", Certainty::Suspected),
    };
    let alone = e.defects.iter().any(|defect| defect.fault == Fault::SelfSigned) || leaf.is_self_issued();
    if !alone || !installed(leaf, sni) {
        return None;
    }
    let wanted = if sni.is_empty() { "a name that the capture lacks" } else { sni };
    let says = format!("the server shows the self-signed certificate of {} for {wanted}", leaf.subject);
    Some(
        Finding::new(certainty, "snakeoil_certificate", Party::Server, &chain.at, says)
            .and(at, format!("the client rejects it with {}", alert.description)),
    )
}

/// The leaf is one that an installer made: a stock name, or a bare host name without a domain.
fn installed(leaf: &Certificate, sni: &str) -> bool {
    let Some(name) = &leaf.common_name else { return false };
    let name = name.to_ascii_lowercase();
    if name == sni || sni.starts_with(&format!("{name}.")) && leaf.alt_names.is_none() {
        return false;
    }
    INSTALLED
        .iter()
        .any(|stock| name == *stock || name.contains("snakeoil") || name.starts_with(&format!("{stock}.")))
        || name.starts_with("kubernetes ingress")
        || name.starts_with("traefik")
        || (!name.contains('.') && !name.contains(' ') && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Doubt;
    use crate::evidence::fixture::{
        alert, answered, certificate, ends, greeted, refused, reset, seen, shown, syn,
    };

    fn found(e: &Evidence) -> (Certainty, &'static str) {
        match judge(e) {
            Judgement::Found(finding) => (finding.certainty, finding.reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_refusal_in_clear_that_tells_of_trouble() {
        assert_eq!(found(&refused(Why::Trouble)), (Certainty::Inferred, "no_certificate_loaded"));
        assert_eq!(found(&refused(Why::Unable)), (Certainty::Suspected, "no_certificate_loaded"));
    }

    #[test]
    fn a_server_of_tlcp_refuses_hellos_of_tls_whatever_it_has_loaded() {
        let mut e = alert(greeted(), Side::Server, 40);
        e.server_record = Some(Version::TLCP);
        assert_eq!(judge(&e), Judgement::Absent);
        e.hello.as_mut().unwrap().value.legacy_version = Version::TLCP;
        assert!(matches!(judge(&e), Judgement::Blind(_)), "of its own kind, it may lack its certificates");
    }

    #[test]
    fn a_command_that_is_not_known_is_not_this_and_a_general_close_tells_nothing() {
        assert_eq!(judge(&refused(Why::Unsupported)), Judgement::Absent);
        assert!(matches!(judge(&refused(Why::Unclear)), Judgement::Blind(_)));
    }

    #[test]
    fn trouble_told_in_clear_behind_a_hello() {
        let mut e = greeted();
        ends(&mut e, Ending::PlainText { said: "* BYE [UNAVAILABLE] TLS initialization f".to_owned() }, 5, 41);
        assert_eq!(found(&e), (Certainty::Inferred, "no_certificate_loaded"));
        ends(&mut e, Ending::PlainText { said: "HTTP/1.1 400 Bad Request".to_owned() }, 5, 41);
        assert_eq!(judge(&e), Judgement::Absent);
    }

    #[test]
    fn a_mail_server_that_closes_on_a_hello_without_a_word() {
        let mut e = reset(greeted(), Side::Server, &[]);
        e.tcp.acked.server = Some(517);
        assert!(matches!(judge(&e), Judgement::Blind(_)), "on other ports it is open");
        e.server.port = 993;
        assert_eq!(found(&e), (Certainty::Suspected, "no_certificate_loaded"));
        e.prelude = Some(Protocol::HttpConnect);
        assert_eq!(judge(&e), Judgement::Absent, "the proxy closed");
        e.prelude = None;
        e.around.server_completes = Some(seen((), 1, 0));
        assert_eq!(judge(&e), Judgement::Absent);
        e.around.server_completes = None;
        e.tcp.acked.server = Some(0);
        assert_eq!(judge(&e), Judgement::Absent, "the hello never arrived");
        let mut e = reset(greeted(), Side::Server, &[Doubt::LinkAddress]);
        (e.server.port, e.tcp.acked.server) = (993, Some(517));
        assert_eq!(judge(&e), Judgement::Absent, "somebody else sent the reset");
    }

    #[test]
    fn an_internal_error_before_the_certificate() {
        let e = alert(greeted(), Side::Server, 80);
        assert_eq!(found(&e), (Certainty::Inferred, "internal_error_before_certificate"));
    }

    #[test]
    fn an_internal_error_behind_the_certificate_is_something_else() {
        let e = shown(answered(Version::TLS12), certificate("a.test", &["a.test"]), &[]);
        assert_eq!(judge(&alert(e, Side::Server, 80)), Judgement::Absent);
    }

    #[test]
    fn an_ordinary_offer_refused() {
        let mut e = alert(greeted(), Side::Server, 40);
        assert_eq!(found(&e), (Certainty::Suspected, "no_certificate_loaded"));
        e.hello.as_mut().unwrap().value.supported_versions = vec![Version::TLS12];
        assert!(matches!(judge(&e), Judgement::Blind(_)), "the server may speak TLS 1.3 only");
        e.around.repeats = 2;
        assert_eq!(found(&e), (Certainty::Suspected, "no_certificate_loaded"));
    }

    #[test]
    fn absent_where_the_server_serves_others() {
        let mut e = alert(greeted(), Side::Server, 40);
        e.around.repeats = 2;
        e.around.server_completes = Some(seen((), 1, 0));
        assert_eq!(judge(&e), Judgement::Absent);
    }

    #[test]
    fn absent_where_the_offer_is_poor() {
        let mut e = alert(greeted(), Side::Server, 40);
        e.around.repeats = 2;
        e.hello.as_mut().unwrap().value.ciphers.truncate(1);
        assert_eq!(judge(&e), Judgement::Absent);
    }

    #[test]
    fn a_version_alert_is_about_versions_first() {
        let mut e = alert(greeted(), Side::Server, 70);
        e.around.repeats = 2;
        assert_eq!(judge(&e), Judgement::Absent, "both versions were offered");
        e.hello.as_mut().unwrap().value.supported_versions = vec![Version::TLS13];
        assert!(matches!(judge(&e), Judgement::Blind(_)));
    }

    #[test]
    fn access_denied_before_any_choice() {
        assert_eq!(found(&alert(greeted(), Side::Server, 49)), (Certainty::Suspected, "no_certificate_loaded"));
        let e = alert(answered(Version::TLS12), Side::Server, 49);
        assert_eq!(judge(&e), Judgement::Absent, "a policy, or the client's certificate");
    }

    #[test]
    fn a_refused_syn_may_be_a_service_that_did_not_start() {
        assert_eq!(found(&reset(syn(1), Side::Server, &[])), (Certainty::Suspected, "listener_gone"));
        assert_eq!(judge(&reset(syn(1), Side::Server, &[Doubt::LinkAddress])), Judgement::Absent);
    }

    #[test]
    fn an_installers_certificate_rejected() {
        let e =
            shown(answered(Version::TLS12), certificate("localhost", &["localhost"]), &[Fault::SelfSigned]);
        assert_eq!(judge(&e), Judgement::Absent);
        let mut e = alert(e, Side::Client, 48);
        assert_eq!(found(&e), (Certainty::Inferred, "snakeoil_certificate"));
        e.hello = None;
        assert_eq!(found(&e), (Certainty::Suspected, "snakeoil_certificate"), "the name asked for was lost");
    }

    #[test]
    fn a_self_signed_certificate_of_the_name_is_meant() {
        let leaf = certificate("www.example.com", &["www.example.com"]);
        let e = shown(answered(Version::TLS12), leaf, &[Fault::SelfSigned]);
        assert_eq!(judge(&alert(e, Side::Client, 48)), Judgement::Absent);
    }
}
