//! What shows that an attempt which ended quietly was a rejection: before, and apart from, any cause.
//!
//! Not every client that rejects sends an alert. Some close without a word behind the server's flight, others finish
//! the handshake, verify, and leave without a byte of data. Health checks, fetchers of certificates, connections opened
//! ahead of need and users who change their minds look alike; here stands what tells them apart.

use super::outcome::{AT_ONCE, finished, whole};
use super::{Chain, Ending, Evidence, Outcome};
use crate::base::{Seen, Side, Span, Stamp};
use crate::tls::cert::Certificate;
use crate::tls::chain::Fault;
use crate::tls::codes::ExtensionType;
use crate::tls::hello::{ClientHello, Offer};
use crate::tls::sealed::{SealedRecord, looks_like_alert, looks_like_finished};
use crate::tls::stack::Stack;

/// The client was the first to close: by FIN, reset, or a sealed alert that the server's close answers.
fn closed_by_client(e: &Evidence) -> bool {
    match &e.ending.value {
        Ending::Fin { from: Side::Client } | Ending::Reset { from: Side::Client } => true,
        Ending::Fin { .. } | Ending::Reset { .. } => goodbye(e, Side::Client).is_some_and(|client| {
            e.ending.at.first().is_some_and(|close| client.at < close)
                && goodbye(e, Side::Server).is_none_or(|server| client.at < server.at)
        }),
        _ => false,
    }
}

/// The sealed alert by which a side ends a finished connection (close_notify, as far as its size tells).
pub(super) fn goodbye(e: &Evidence, side: Side) -> Option<&SealedRecord> {
    let hello = e.server_hello.as_ref()?;
    let (cipher, version) = (hello.value.cipher, hello.value.version);
    let finished = e.sealing.finished.of(side).as_ref()?;
    let mut behind = e.sealing.records.of(side).iter().filter(|record| Some(record.at) >= finished.at.last());
    if version.is_tls13() {
        behind.find(|record| looks_like_alert(record.len, cipher, version))
    } else {
        behind.find(|record| record.content_type == 21)
    }
}

/// Both sides finished; that it counts as failed is read from how the client closed (see [`late`]).
pub fn completed_before_close(e: &Evidence) -> bool {
    finished(e) && closed_by_client(e)
}

/// A handshake was finished, and the client left at once without a byte of data.
fn left_unused(e: &Evidence) -> bool {
    let sealing = &e.sealing;
    let end = sealing.finished.client.iter().chain(&sealing.finished.server).map(|fin| fin.when).max();
    // Who left before the server's Finished came did not judge by it.
    let saw = |fin: &Seen<()>| {
        fin.at.last() < e.ending.at.last()
            || goodbye(e, Side::Client).is_some_and(|bye| fin.at.last() < Some(bye.at))
    };
    // Session tickets (RFC 9846 section 4.6.1) or HTTP/2's first frames (RFC 9113 section 3.4) may be all that the server
    // sends.
    let unasked = e.version().is_some_and(|version| version.is_tls13()) || offers_http(e);
    e.outcome == Outcome::Completed
        && closed_by_client(e)
        && sealing.finished.server.as_ref().is_some_and(saw)
        && end.is_some_and(|end| e.ending.when - end < AT_ONCE)
        && whole(e, Side::Client)
        && whole(e, Side::Server)
        && sealing.application.client == 0
        && (unasked || sealing.application.server == 0)
}

/// The client wants a certain host: it asks for a name, or for HTTP at an address. Who asks for neither fetches a
/// certificate or checks a port.
fn asks_for_host(e: &Evidence) -> bool {
    e.sni().is_some() || offers_http(e) || upgrades_like_curl(e)
}

fn offers_http(e: &Evidence) -> bool {
    let http = |protocol: &str| protocol == "h2" || protocol == "http/1.1";
    e.hello.as_ref().is_some_and(|hello| hello.value.alpn.iter().any(|protocol| http(protocol)))
}

/// Some clients verify, wholly or in part, only behind both Finished, and then leave at once without a byte of data. It
/// was a rejection where the client asked for a host, TLS 1.3 seals the certificate or it has a defect, and
///
/// - the client's stack is one that verifies late and leaves without close_notify (wget and others on GnuTLS, Node.js);
///   or
/// - the client offered HTTP and then sent no request (curl, where the name does not match). Browsers do that too with
///   connections that they opened ahead of need.
///
/// Health checks that do not verify, and fetchers of certificates, do neither. Who went to the trouble of STARTTLS and
/// then says nothing was shown a certificate with a glaring defect.
pub fn late(e: &Evidence) -> bool {
    if !left_unused(e) {
        return false;
    }
    let stack = e.stack();
    let no_request = (offers_http(e) || upgrades_like_curl(e)) && !stack.is_some_and(Stack::preconnects);
    let no_word = stack.is_some_and(Stack::verifies_late) && goodbye(e, Side::Client).is_none();
    // wget asks for no name where it was given an address, and never leaves without a word but to reject.
    if !(asks_for_host(e) || no_word && stack == Some(Stack::GnuTls)) {
        return false;
    }
    match &e.chain {
        Chain::Clear(_) if no_request || no_word => {
            e.defects.iter().any(|defect| !defect.fault.is_mild())
                || (no_request && misses_address(e))
                || bad_staple(e)
                || staple_missing(e)
                || (stack == Some(Stack::Curl) && wants_staple(e) && e.staple.is_none())
                // wget never leaves so without a reason: then it is the client's clock, its roots or its lists.
                || stack == Some(Stack::GnuTls) && no_word
        }
        Chain::Clear(_) => e.upgrade.is_some() && glaring(e),
        Chain::Sealed(_) => no_request || no_word,
        _ => false,
    }
}

/// The client offered an encrypted hello, finished, sent a sealed alert at once and left without a byte of data, as it must
/// where the server refused that hello (RFC 9849 section 6.1.6); gives that record. Connections that are not needed look so
/// too, but are seldom closed at the moment they are ready.
pub fn stops_as_refused(e: &Evidence) -> Option<&SealedRecord> {
    /// The client knows of the refusal before its own Finished, from the server's flight: both leave in one go. Measured: Go
    /// within 1 ms; the rest is for busy hosts and captures.
    const BEHIND: Span = Span::from_millis(50);
    let offered = e.hello.as_ref().is_some_and(|hello| hello.value.ech);
    let tls13 = e.version().is_some_and(|version| version.is_tls13());
    let sealing = &e.sealing;
    let client = sealing.finished.client.as_ref()?;
    let unused = sealing.application.client == 0 && whole(e, Side::Client);
    if !(offered && tls13 && unused && sealing.finished.server.is_some() && closed_by_client(e)) {
        return None;
    }
    goodbye(e, Side::Client).filter(|alert| alert.when - client.when < BEHIND)
}

/// curl on OpenSSL, which takes authentication behind the handshake wherever it speaks TLS (`ossl_connect_step1` in
/// lib/vtls/openssl.c), as `openssl s_client` does only where it is told to. Mail and FTP have no protocol for ALPN;
/// there it is always the client that speaks first behind STARTTLS.
pub fn upgrades_like_curl(e: &Evidence) -> bool {
    let takes = |hello: &Seen<ClientHello>| {
        hello.value.extensions.contains(&ExtensionType::POST_HANDSHAKE_AUTH) && hello.value.alpn.is_empty()
    };
    e.upgrade.is_some() && e.stack() == Some(Stack::OpenSsl) && e.hello.as_deref().is_some_and(takes)
}

/// The client asked for no name, hence for an address, and the leaf in clear does not name it.
pub fn misses_address(e: &Evidence) -> bool {
    let leaf = e.chain.clear().and_then(|chain| chain.value.first());
    let Some(address) = e.server_address() else { return false };
    let names_it =
        |leaf: &Certificate| leaf.alt_names.as_ref().is_some_and(|names| names.ips.contains(&address));
    e.hello.is_some() && e.host().is_none() && leaf.is_some_and(|leaf| !names_it(leaf))
}

/// A defect that hardly any verifier lets pass.
fn glaring(e: &Evidence) -> bool {
    let named = |fault| matches!(fault, Fault::SanMismatch | Fault::WildcardDepth | Fault::IpNotInSan);
    e.defects.iter().filter(|defect| !(named(defect.fault) && e.may_hide_name())).any(|defect| {
        matches!(
            defect.fault,
            Fault::LeafExpired
                | Fault::IntermediateExpired
                | Fault::NotYetValid
                | Fault::SanMismatch
                | Fault::WildcardDepth
                | Fault::IpNotInSan
                | Fault::SelfSigned
                | Fault::MissingIntermediate
                | Fault::BadCertificateSignature
                | Fault::EkuLacksServerAuth
                | Fault::KeyUsage
        )
    })
}

/// The client asked for a stapled answer, and got one that does not say good at capture time.
fn bad_staple(e: &Evidence) -> bool {
    e.staple.as_ref().is_some_and(|staple| staple.value.is_bad_at(e.started))
}

/// The leaf, in clear or known by its size, demands a stapled answer (RFC 7633), the client asked for one, none came.
pub fn staple_missing(e: &Evidence) -> bool {
    let leaf = match (&e.chain, &e.around.shown_before) {
        (Chain::Sealed(_), Some(before)) if before.is_sure() && before.lacks_staple() => {
            before.chain.value.first()
        }
        (chain, _) => chain.clear().and_then(|chain| chain.value.first()),
    };
    leaf.is_some_and(|leaf| leaf.must_staple) && wants_staple(e) && e.staple.is_none()
}

/// The client asked for a stapled answer. curl does so only where it demands one (`--cert-status`).
pub fn wants_staple(e: &Evidence) -> bool {
    e.hello.as_ref().is_some_and(|hello| hello.value.status_request)
}

/// The client closed without a word behind the server's whole flight.
pub fn silent_close(e: &Evidence) -> bool {
    e.outcome == Outcome::Failed
        && matches!(e.ending.value, Ending::Fin { from: Side::Client } | Ending::Reset { from: Side::Client })
        && e.server_hello.is_some()
        && e.sealing.finished.client.is_none()
        && e.client_key_exchange.is_none()
        && e.tcp.resets.iter().all(|reset| reset.value.doubts.is_empty())
}

/// Whether a client that closed silently wanted the handshake to succeed: it asked for a host, and
///
/// - tried again in vain with the same offer (who probes a server varies it), or
/// - was shown a certificate or a signature that verifiers reject, or waited for its revocation status, or
/// - its stack is one that rejects so, and it left at once (else it may have been killed).
pub fn wanted(e: &Evidence) -> bool {
    let at_once = flight(e).is_some_and(|flight| e.ending.when - flight < AT_ONCE);
    asks_for_host(e)
        && (e.around.repeats >= 1
            || e.key_exchange_verdict.is_some_and(|verdict| verdict.fails())
            || asked_for_status(e)
            || glaring(e)
            || at_once && e.stack().is_some_and(Stack::rejects_silently))
}

/// A quiet end is explained by another connection that was of use only where the same program made both: one that does not
/// verify is served whatever its neighbour on the same host rejects.
pub fn is_of_another_program(e: &Evidence, other: &Offer) -> bool {
    let quiet = completed_before_close(e) || silent_close(e);
    let stacks = e.stack().zip(Stack::of_offer(other));
    quiet && stacks.is_some_and(|(this, other)| this != other)
}

/// Of a failure that ended without an alert or a word: what makes it one.
pub fn quiet(e: &Evidence) -> Option<&'static str> {
    if e.outcome != Outcome::Failed || e.server_hello.is_none() {
        None
    } else if completed_before_close(e) && stops_as_refused(e).is_some() && e.around.ech.is_some() {
        Some(
            "the client finished the handshake and left at once, as it must when its encrypted hello was refused",
        )
    } else if completed_before_close(e) {
        Some(
            "the client finished the handshake and left at once without any data, as programs do that verify late",
        )
    } else if silent_close(e) {
        Some(
            "the client closed without a word behind the server's whole flight, as programs do that reject so",
        )
    } else if left_at_certificate(e) {
        Some("the server closed without a word behind the client's certificate")
    } else {
        None
    }
}

/// When the server's whole flight was there.
pub fn flight(e: &Evidence) -> Option<Stamp> {
    match e.version() {
        Some(version) if version.is_tls13() => e.sealing.finished.server.as_ref().map(|flight| flight.when),
        _ => e.server_hello_done.as_ref().map(|done| done.when),
    }
}

/// The client asked a responder behind the server's flight, or could not reach one.
fn asked_for_status(e: &Evidence) -> bool {
    let mut asked =
        e.around.ocsp.iter().map(|seen| seen.when).chain(e.around.unreached.iter().map(|seen| seen.when));
    flight(e).is_some_and(|flight| asked.any(|when| when >= flight))
}

/// The server left without a word behind the client's certificate and Finished.
pub fn left_at_certificate(e: &Evidence) -> bool {
    let finished = &e.sealing.finished;
    let by_server =
        matches!(e.ending.value, Ending::Fin { from: Side::Server } | Ending::Reset { from: Side::Server });
    let shown = e.client_chain != Chain::Unsent && finished.server.is_none();
    by_server && finished.client.is_some() && (shown || shows_certificate(e))
}

/// Behind TLS 1.3 the client sent more than Finished, as it does with a Certificate, empty or not.
pub fn shows_certificate(e: &Evidence) -> bool {
    if e.is_open() {
        return e.client_chain != Chain::Unsent;
    }
    let Some(hello) = e.server_hello.as_ref().filter(|hello| hello.value.version.is_tls13()) else {
        return false;
    };
    let early = e.hello.as_ref().is_some_and(|hello| hello.value.early_data);
    let is_finished =
        |record: &SealedRecord| looks_like_finished(record.len, hello.value.cipher, hello.value.version);
    let records = &e.sealing.records.client;
    let mut sealed = records.iter().filter(|record| record.when >= hello.when);
    !early && sealed.next().is_some_and(|first| !is_finished(first)) && sealed.any(is_finished)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{answered, certificate, ends, seen, shown};
    use super::*;
    use crate::base::Span;
    use crate::tls::codes::{CipherSuite, Version};
    use std::sync::Arc;

    const NODE: [u16; 8] = [0x1302, 0x1303, 0x1301, 0xc02f, 0xc02b, 0xc030, 0xc02c, 0x009e];
    const OPENSSL: [u16; 7] = [0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0x009f, 0xcca9];
    const GNUTLS: [u16; 5] = [0x1302, 0x1303, 0x1304, 0xc02c, 0xc0ad];
    const IN_ORDER: [u16; 9] = [0, 11, 10, 22, 23, 13, 43, 45, 51];

    /// The client's hello is of this stack.
    fn by(mut e: Evidence, suites: &[u16], extensions: &[u16], alpn: &[&str]) -> Evidence {
        let hello = &mut e.hello.as_mut().unwrap().value;
        hello.ciphers = suites.iter().copied().map(CipherSuite).collect();
        hello.extensions = extensions.iter().copied().map(ExtensionType).collect();
        hello.alpn = alpn.iter().map(|&name| name.to_owned().into()).collect();
        hello.status_request = extensions.contains(&5);
        e
    }

    fn node(e: Evidence) -> Evidence {
        by(e, &NODE, &IN_ORDER, &[])
    }

    fn wget(e: Evidence) -> Evidence {
        by(e, &GNUTLS, &[5, 10, 11, 13, 22, 23, 35, 51, 43, 0, 45, 28], &[])
    }

    fn curl(e: Evidence) -> Evidence {
        by(e, &OPENSSL, &[0, 11, 10, 16, 22, 23, 49, 13, 43, 45, 51], &["h2", "http/1.1"])
    }

    fn s_client(e: Evidence) -> Evidence {
        by(e, &OPENSSL, &IN_ORDER, &[])
    }

    fn sealed(content_type: u8, len: u16, no: u64, millis: i64) -> SealedRecord {
        SealedRecord {
            content_type,
            len,
            at: seen((), no, millis).at.first().unwrap(),
            when: seen((), no, millis).when,
        }
    }

    /// Behind both Finished the client closes at once, with or without a goodbye.
    fn left(version: Version, goodbye: bool) -> Evidence {
        let mut e = answered(version);
        e.outcome = Outcome::Completed;
        if version.is_tls13() {
            e.chain = Chain::Sealed(seen((), 6, 42).at);
            e.sealing.records.server = vec![sealed(23, 900, 6, 42), sealed(23, 53, 6, 42)].into();
        }
        e.sealing.finished.server = Some(seen((), 6, 42));
        e.sealing.finished.client = Some(seen((), 7, 43));
        if goodbye {
            let (kind, len) = if version.is_tls13() { (23, 19) } else { (21, 26) };
            e.sealing.records.client.push(sealed(kind, len, 8, 44));
        }
        ends(&mut e, Ending::Fin { from: Side::Client }, 9, 45);
        e
    }

    fn misnamed(e: Evidence) -> Evidence {
        let mut e = shown(e, certificate("b.test", &["b.test"]), &[Fault::SanMismatch]);
        ends(&mut e, Ending::Fin { from: Side::Client }, 9, 45);
        e
    }

    #[test]
    fn clients_that_verify_late_reject_behind_finished() {
        for version in [Version::TLS12, Version::TLS13] {
            let shown = |e| if version == Version::TLS12 { misnamed(e) } else { e };
            assert!(late(&wget(shown(left(version, false)))), "wget says nothing");
            assert!(late(&curl(shown(left(version, true)))), "curl asked for HTTP and sends no request");
            assert!(!late(&s_client(shown(left(version, true)))), "a look at a certificate");
            assert!(!late(&wget(shown(left(version, true)))), "gnutls-cli says goodbye");
        }
        assert!(late(&node(misnamed(left(Version::TLS12, false)))));
    }

    #[test]
    fn who_sends_data_or_stays_or_asks_for_nothing_did_not_reject() {
        let mut e = wget(left(Version::TLS13, false));
        e.sealing.application.client = 100;
        assert!(!late(&e), "a request");
        let mut e = wget(left(Version::TLS13, false));
        e.ending.when = e.ending.when + Span::from_secs(5);
        assert!(!late(&e), "kept open");
        let mut e = node(misnamed(left(Version::TLS12, false)));
        e.hello.as_mut().unwrap().value.sni = None;
        assert!(!late(&e), "no host asked for");
        let mut e = wget(left(Version::TLS13, false));
        e.sealing.finished.server = Some(seen((), 10, 60));
        assert!(!late(&e), "gone before the server finished");
    }

    #[test]
    fn a_silent_close_is_wanted_by_stacks_that_reject_so_and_at_once() {
        let mut e = answered(Version::TLS13);
        e.chain = Chain::Sealed(seen((), 6, 42).at);
        e.sealing.finished.server = Some(seen((), 6, 42));
        ends(&mut e, Ending::Fin { from: Side::Client }, 7, 44);
        assert!(silent_close(&e));
        assert!(quiet(&e).is_some_and(|says| says.contains("whole flight")));
        assert!(wanted(&node(e.clone())));
        assert!(!wanted(&s_client(e.clone())), "it would have sent an alert");
        e.around.repeats = 1;
        assert!(wanted(&s_client(e.clone())), "tried again in vain");
        e.around.repeats = 0;
        e.ending.when = e.ending.when + Span::from_secs(5);
        assert!(!wanted(&node(e)), "killed, or out of patience");
    }

    #[test]
    fn curl_behind_starttls_is_told_by_what_it_takes() {
        let mut e = by(left(Version::TLS13, true), &OPENSSL, &[0, 11, 10, 22, 23, 49, 13, 43, 45, 51], &[]);
        assert!(!late(&e), "TLS came first");
        e.upgrade = super::super::fixture::refused(super::super::upgrade::Why::Unclear).upgrade;
        assert!(late(&e));
        assert!(!late(&s_client(e)), "a look at a certificate");
    }

    #[test]
    fn a_neighbour_of_another_stack_does_not_explain_a_quiet_end() {
        let (curl, wget) = (curl(left(Version::TLS13, true)), wget(left(Version::TLS13, false)));
        let offer = |e: &Evidence| Arc::clone(&e.hello.as_ref().unwrap().value.offer);
        assert!(is_of_another_program(&wget, &offer(&curl)));
        assert!(!is_of_another_program(&wget, &offer(&wget)));
        assert!(!is_of_another_program(&wget, &Offer::default()), "nobody knows whose");
        let mut open = wget;
        open.ending.value = Ending::CaptureEnded;
        assert!(!is_of_another_program(&open, &offer(&curl)), "no quiet end");
    }

    #[test]
    fn a_client_certificate_shows_by_records_before_finished() {
        let mut e = answered(Version::TLS13);
        e.sealing.records.client =
            vec![sealed(23, 437, 8, 47), sealed(23, 97, 8, 47), sealed(23, 53, 8, 47)].into();
        assert!(shows_certificate(&e));
        e.sealing.records.client = vec![sealed(23, 53, 8, 47), sealed(23, 437, 8, 47)].into();
        assert!(!shows_certificate(&e), "Finished, then a request");
    }
}
