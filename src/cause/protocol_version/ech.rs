//! A server that could not decrypt the encrypted ClientHello: `ech_rejected`.
//!
//! The client then completes the handshake with the server of the public name, sends ech_required, which TLS 1.3 seals,
//! and leaves; it asks again with the keys that the server sent it in EncryptedExtensions (RFC 9849 sections 6.1.6 and
//! 7.1). Who brings GREASE (section 6.2) goes on instead. Measured: Go sends Finished, the 19 bytes of an alert and FIN
//! within a millisecond.

use super::super::{Certainty, Finding, Party};
use crate::base::Seen;
use crate::evidence::{Evidence, rejection};
use crate::tls::sealed::Part;
use crate::tls::stack::Stack;

/// A sealed record of EncryptedExtensions with new keys is longer than this: the message without any extension takes 6 bytes,
/// the seal 17, and the shortest key 52 beside its public name (RFC 9849 section 4). What else stands there, a protocol's name
/// and acknowledgments, is shorter than a key.
const ROOM_FOR_KEYS: u16 = 6 + 17 + 52;

/// The client leaves as one whose key was refused, and what shows that it had one.
pub(super) fn rejected(e: &Evidence) -> Option<Finding> {
    let left = rejection::stops_as_refused(e)?;
    let key = e.hello.as_ref()?.value.ech_key;
    let ech = e.around.ech.as_ref();
    let again = ech.and_then(|ech| ech.again.as_ref());
    // Where messages share a record, what its size says is of all of them.
    let extensions = e.sealed_reading().and_then(|reading| reading.parts.server.first().copied());
    let keys_sent =
        extensions.filter(|it| it.part == Part::EncryptedExtensions && it.len > ROOM_FOR_KEYS);
    // A client that brings GREASE, and left for another reason, has another number too when it comes again; and the server
    // sends its keys to that one as well (section 7.1).
    let grease = [Stack::Chromium, Stack::Nss, Stack::Apple, Stack::Rustls];
    let brings_none = e.stack().is_some_and(|stack| !grease.contains(&stack));
    let certainty = match again {
        _ if e.ech_is_genuine() => Certainty::Inferred,
        Some(_) if keys_sent.is_some() && brings_none => Certainty::Inferred,
        Some(_) => Certainty::Suspected,
        None => return None,
    };
    let says = "the client finished the handshake, sent at once what has the size of an alert, and left without data, as it must when its encrypted hello was refused";
    let mut finding = Finding::new(certainty, "ech_rejected", Party::Server, left.at, says);
    if let Some(Seen { value: next, at, .. }) = again {
        let key = key.map_or_else(String::new, |key| format!(" instead of {key}"));
        finding = finding.and(at, format!("the client then gets through to the same server with key {next}{key}"));
    }
    if let Some(Seen { value: name, at, .. }) = ech.and_then(|ech| ech.told.as_ref()) {
        finding = finding.and(at, format!("DNS had given it this key for {name}"));
    }
    if let Some(record) = keys_sent {
        let says = format!("the server's first sealed record has {} bytes: EncryptedExtensions with room for new keys", record.len);
        finding = finding.and(record.at, says);
    }
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{PacketNo, Side};
    use crate::cause::protocol_version::judge;
    use crate::evidence::around::Ech;
    use crate::evidence::fixture::{answered, ends, seen};
    use crate::evidence::{Ending, Outcome, Stage};
    use crate::tls::codes::{CipherSuite, ExtensionType, Version};
    use crate::tls::sealed::SealedRecord;

    fn record(len: u16, at: u64, ms: i64) -> SealedRecord {
        SealedRecord { content_type: 23, len, at: PacketNo(at), when: seen((), at, ms).when }
    }

    /// A client that offered ECH, finished, and left with an alert so many milliseconds later.
    fn left(after: i64) -> Evidence {
        let mut e = answered(Version::TLS13);
        e.server_hello.as_mut().unwrap().value.cipher = CipherSuite(0x1301);
        let hello = &mut e.hello.as_mut().unwrap().value;
        (hello.ech, hello.ech_key) = (true, Some(7));
        // As OpenSSL writes it, which brings no GREASE unless it is told to.
        hello.extensions = [0xff01, 0, 11, 10, 35, 22, 23, 13, 43, 45, 51, 0xfe0d].map(ExtensionType).to_vec();
        e.sealing.finished.server = Some(seen((), 6, 40));
        e.sealing.finished.client = Some(seen((), 8, 60));
        e.sealing.records.server = [101, 900, 97, 53].map(|len| record(len, 6, 40)).into();
        e.sealing.records.client = vec![record(53, 8, 60), record(19, 9, 60 + after)].into();
        (e.outcome, e.stage) = (Outcome::Completed, Stage::Finished);
        ends(&mut e, Ending::Fin { from: Side::Client }, 10, 60 + after);
        e.outcome = Outcome::Failed;
        e
    }

    fn again(mut e: Evidence) -> Evidence {
        e.around.ech = Some(Ech { told: None, again: Some(seen(23, 14, 180)) });
        e
    }

    fn found(e: &Evidence) -> Option<(Certainty, &'static str)> {
        judge(e).found().map(|finding| (finding.certainty, finding.reason))
    }

    #[test]
    fn a_second_try_with_another_key_shows_the_refusal_of_the_first() {
        assert_eq!(found(&again(left(1))), Some((Certainty::Inferred, "ech_rejected")));
    }

    #[test]
    fn a_second_try_is_less_sure_where_the_server_sent_no_keys() {
        let mut e = again(left(1));
        e.sealing.records.server[0].len = 27;
        assert_eq!(found(&e), Some((Certainty::Suspected, "ech_rejected")));
    }

    #[test]
    fn a_second_try_is_less_sure_of_a_client_that_may_bring_grease_anew_each_time() {
        let mut e = again(left(1));
        e.hello.as_mut().unwrap().value.extensions.clear();
        assert_eq!(e.stack(), None);
        assert_eq!(found(&e), Some((Certainty::Suspected, "ech_rejected")));
    }

    #[test]
    fn a_flight_in_one_record_does_not_show_that_keys_were_sent() {
        let mut e = again(left(1));
        e.sealing.records.server = vec![record(1_153, 6, 40)].into();
        assert_eq!(found(&e), Some((Certainty::Suspected, "ech_rejected")));
    }

    #[test]
    fn a_key_from_dns_does_so_without_a_second_try() {
        let mut e = left(1);
        e.around.ech = Some(Ech { told: Some(seen("www.test".into(), 2, 0)), again: None });
        assert_eq!(found(&e), Some((Certainty::Inferred, "ech_rejected")));
    }

    #[test]
    fn absent_where_the_client_may_have_brought_grease() {
        assert_eq!(found(&left(1)), None);
    }

    #[test]
    fn absent_where_the_connection_stood_unused_or_carried_data() {
        assert_eq!(found(&again(left(400))), None);
        let mut e = again(left(1));
        e.sealing.application.client = 200;
        assert_eq!(found(&e), None);
    }

    #[test]
    fn absent_without_an_encrypted_hello() {
        let mut e = again(left(1));
        e.hello.as_mut().unwrap().value.ech = false;
        assert_eq!(found(&e), None);
    }
}
