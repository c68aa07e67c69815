use super::*;
use Part::*;

const BEFORE: Stamp = Stamp::from_secs(1);
const ANSWERED: Stamp = Stamp::from_secs(2);

fn record(len: u16, no: u64, when: Stamp) -> SealedRecord {
    SealedRecord { content_type: 23, len, at: PacketNo(no), when }
}

/// The server's flight in packet 6, its later records in packet 9; what the client says before the answer and behind it.
struct Said {
    suite: u16,
    psk: bool,
    flight: &'static [u16],
    later: &'static [u16],
    early: &'static [u16],
    client: &'static [u16],
}

const PLAIN: Said =
    Said { suite: 0x1302, psk: false, flight: &[23, 895, 96, 69], later: &[], early: &[], client: &[] };

impl Said {
    fn read(&self) -> Reading {
        let all = |lens: &[u16], no, when| lens.iter().map(|&len| record(len, no, when)).collect::<Vec<_>>();
        let server = [all(self.flight, 6, ANSWERED), all(self.later, 9, ANSWERED)].concat();
        let client = [all(self.early, 4, BEFORE), all(self.client, 7, ANSWERED)].concat();
        let setting = Setting {
            suite: CipherSuite(self.suite),
            version: Version::TLS13,
            psk: self.psk,
            early_data: !self.early.is_empty(),
            answered: ANSWERED,
        };
        Reading::of(&PerSide { client, server }, &setting).unwrap()
    }

    fn server(&self) -> Vec<Part> {
        self.read().parts.server.iter().map(|item| item.part).collect()
    }

    fn client(&self) -> Vec<Part> {
        self.read().parts.client.iter().map(|item| item.part).collect()
    }
}

#[test]
fn each_message_of_the_flight_has_its_place() {
    let four = [EncryptedExtensions, Certificate, CertificateVerify, Finished];
    let asked = [EncryptedExtensions, CertificateRequest, Certificate, CertificateVerify, Finished];
    let cases: [(u16, &'static [u16], &[Part]); 7] = [
        (0x1302, &[23, 895, 96, 69], &four),
        (0x1301, &[29, 435, 281, 53], &four),
        (0x1305, &[15, 887, 88, 45], &four),
        (0x1302, &[65, 911, 112, 85], &four), // JSSE
        (0x1302, &[23, 134, 895, 96, 69], &asked),
        (
            0x1302,
            &[23, 16_401, 3_000, 96, 69],
            &[EncryptedExtensions, Certificate, Certificate, CertificateVerify, Finished],
        ),
        (0x1302, &[1_036], &[Several]),
    ];
    for (suite, flight, parts) in cases {
        assert_eq!(Said { suite, flight, ..PLAIN }.server(), parts, "{flight:?}");
    }
}

#[test]
fn the_certificate_and_the_signature_are_measured() {
    let read = |suite, flight| Said { suite, flight, ..PLAIN }.read();
    let own = read(0x1302, &[65, 911, 112, 85]);
    assert_eq!((own.certificate.map(|(len, _)| len), own.signature, own.padding), (Some(878), Some(71), 16));
    let two = read(0x1302, &[23, 16_401, 3_000, 96, 69]);
    assert_eq!(two.certificate.map(|(len, _)| len), Some(16_384 + 2_983));
    let several = read(0x1302, &[1_036]).several.unwrap();
    assert_eq!((several.len, several.from_extensions, several.requested), (1_019, true, false));
    let alone = read(0x1302, &[29, 1_036]).several.unwrap();
    assert!(!alone.from_extensions, "EncryptedExtensions have a record of their own");
}

#[test]
fn what_is_padded_is_not_measured() {
    let padded = Said { flight: &[528, 1_040, 528, 528], ..PLAIN };
    assert_eq!(padded.server(), [Unclear; 4]);
    assert_eq!((padded.read().certificate, padded.read().several), (None, None));
}

#[test]
fn a_pre_shared_key_leaves_no_room_for_a_certificate() {
    let resumed = Said { psk: true, flight: &[29, 69], later: &[250], client: &[69, 100], ..PLAIN };
    assert_eq!(resumed.server(), [EncryptedExtensions, Finished, TicketOrData]);
    assert_eq!(resumed.read().certificate, None);
    assert_eq!(Said { psk: true, flight: &[600], ..PLAIN }.server(), [Unclear]);
}

#[test]
fn what_the_client_says_is_read_by_its_finished() {
    let cases: [(&'static [u16], &[Part]); 8] = [
        (&[69, 100], &[Finished, Data]),
        (&[69, 19], &[Finished, Alert]),
        (&[19], &[Alert]),
        (&[35], &[Alert]), // JSSE
        (&[25, 69], &[EmptyCertificate, Finished]),
        (&[77], &[EmptyCertificate]), // rustls
        (&[465, 96, 69, 90], &[Certificate, CertificateVerify, Finished, Data]),
        (&[600], &[Several]),
    ];
    for (client, parts) in cases {
        assert_eq!(Said { client, ..PLAIN }.client(), parts, "{client:?}");
    }
    let shown = Said { client: &[465, 96, 69], ..PLAIN }.read();
    assert_eq!(shown.client_certificate.map(|(len, _)| len), Some(448));
    assert!(shown.certificate_requested());
}

#[test]
fn early_data_ends_by_a_message_where_it_was_taken() {
    let taken = Said { psk: true, flight: &[29, 69], early: &[117], client: &[117, 21, 69], ..PLAIN };
    assert_eq!(taken.client(), [EarlyData, EarlyData, EndOfEarlyData, Finished]);
    let refused = Said { early: &[117], client: &[69, 100], ..PLAIN };
    assert_eq!(refused.client(), [EarlyData, Finished, Data]);
}

#[test]
fn what_the_server_says_behind_its_flight_is_an_alert_or_not() {
    let rejected = Said { later: &[19], client: &[25, 69], ..PLAIN };
    assert_eq!(rejected.server()[4..], [Alert]);
    let went_on = Said { later: &[250, 250, 600], client: &[69], ..PLAIN };
    assert_eq!(went_on.server()[4..], [TicketOrData; 3]);
}

#[test]
fn older_versions_and_unknown_suites_are_not_read() {
    let records = PerSide { client: Vec::new(), server: vec![record(40, 6, ANSWERED)] };
    for (suite, version) in [(0xc02f, Version::TLS12), (0x7777, Version::TLS13)] {
        let suite = CipherSuite(suite);
        let setting = Setting { suite, version, psk: false, early_data: false, answered: ANSWERED };
        assert_eq!(Reading::of(&records, &setting), None);
    }
}

#[test]
fn keys_are_told_by_their_signatures() {
    let keys = [
        (64, "Ed25519"),
        (70, "P-256"),
        (103, "P-384"),
        (138, "P-521"),
        (256, "RSA 2048"),
        (3309, "ML-DSA-65"),
    ];
    for (len, key) in keys {
        assert_eq!(key_of_signature(len).as_deref(), Some(key));
    }
    assert_eq!(key_of_signature(80), None);
}
