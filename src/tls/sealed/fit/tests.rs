use super::*;
use crate::base::{PacketNo, PerSide, Stamp};
use crate::tls::cert::{KeyKind, PublicKey};
use crate::tls::codes::{CipherSuite, Version};
use crate::tls::sealed::Setting;

/// A chain of certificates of these sizes; the leaf's key is P-256.
fn chain(lens: &[usize]) -> Vec<Arc<Certificate>> {
    let of = |&len: &usize| {
        let key = PublicKey { kind: KeyKind::Ec("P-256".to_owned()), spki: Vec::new() };
        Arc::new(Certificate { der: vec![0; len].into(), key, ..Certificate::parse(&[]) })
    };
    lens.iter().map(of).collect()
}

fn flight(suite: u16, lens: &[u16]) -> Reading {
    let record =
        |&len: &u16| SealedRecord { content_type: 23, len, at: PacketNo(6), when: Stamp::from_secs(1) };
    let records = PerSide { client: Vec::new(), server: lens.iter().map(record).collect() };
    let setting = Setting {
        suite: CipherSuite(suite),
        version: Version::TLS13,
        psk: false,
        early_data: false,
        answered: Stamp::from_secs(1),
    };
    Reading::of(&records, &setting).unwrap()
}

fn fits(reading: &Reading, chain: &[Arc<Certificate>], offer: &Offer) -> Option<Fit> {
    fit(reading, chain, Some(471), Offered { offer, name: true }).map(|(fit, _)| fit)
}

#[test]
fn a_record_of_its_own_fits_to_the_byte() {
    let chain = chain(&[450, 410]);
    // 450 + 410 + 2 * 5 + 8 + 17.
    for (suite, lens) in [
        (0x1302, [23, 895, 96, 69]),
        (0x1301, [23, 895, 96, 53]),
        (0x1305, [15, 887, 88, 45]),  // CCM_8
        (0x1302, [65, 911, 112, 85]), // JSSE
    ] {
        assert_eq!(fits(&flight(suite, &lens), &chain, &Offer::default()), Some(Fit::Exact), "{lens:?}");
        let longer = [lens[0], lens[1] + 1, lens[2], lens[3]];
        assert_eq!(fits(&flight(suite, &longer), &chain, &Offer::default()), None, "{lens:?}");
    }
}

#[test]
fn a_signature_of_another_kind_of_key_is_another_certificate() {
    let chain = chain(&[450, 410]);
    assert_eq!(fits(&flight(0x1302, &[23, 895, 281, 69]), &chain, &Offer::default()), None);
}

#[test]
fn a_staple_of_known_size_fits_to_the_byte_and_another_may() {
    let chain = chain(&[450, 410]);
    let asking = Offer { status_request: true, ..Offer::default() };
    let (known, other) = (895 + 8 + 471, 895 + 8 + 300);
    assert_eq!(fits(&flight(0x1302, &[23, known, 96, 69]), &chain, &asking), Some(Fit::Exact));
    assert_eq!(fits(&flight(0x1302, &[23, other, 96, 69]), &chain, &asking), Some(Fit::Stapled));
    assert_eq!(fits(&flight(0x1302, &[23, other, 96, 69]), &chain, &Offer::default()), None, "nobody asked");
}

#[test]
fn what_compression_may_have_shortened_fits_where_the_client_takes_it() {
    let chain = chain(&[450, 410]);
    let taking = Offer { extensions: vec![ExtensionType::COMPRESS_CERTIFICATE], ..Offer::default() };
    assert_eq!(fits(&flight(0x1302, &[23, 600, 96, 69]), &chain, &taking), Some(Fit::Compressed));
    assert_eq!(fits(&flight(0x1302, &[23, 600, 96, 69]), &chain, &Offer::default()), None);
}

#[test]
fn a_whole_flight_in_one_record_fits_within_what_the_client_asked_for() {
    let chain = chain(&[450, 410]);
    // EncryptedExtensions of 10 bytes, Certificate, CertificateVerify with 71, Finished with SHA-384.
    let len = 10 + 878 + 79 + 52 + 17;
    let offer = Offer { alpn: vec!["h2".into()], ..Offer::default() };
    for (len, fit) in
        [(len, Some(Fit::Several)), (len + 9, Some(Fit::Several)), (len + 30, None), (len - 20, None)]
    {
        assert_eq!(fits(&flight(0x1302, &[len]), &chain, &offer), fit, "{len}");
    }
}

#[test]
fn behind_padding_everything_may_be() {
    let padded = flight(0x1302, &[528, 1_040, 528, 528]);
    assert_eq!(fits(&padded, &chain(&[450, 410]), &Offer::default()), Some(Fit::Hidden));
}

#[test]
fn a_clients_certificate_fits_alone_and_with_what_follows() {
    let chain = chain(&[450, 410]);
    let shown = |lens: &[u16]| {
        let mut reading = flight(0x1302, &[23, 895, 96, 69]);
        let record = |len| SealedRecord { content_type: 23, len, at: PacketNo(7), when: Stamp::from_secs(1) };
        match lens {
            [one] => reading.client_several = Some((usize::from(*one) - 17, record(*one))),
            [one, ..] => reading.client_certificate = Some((usize::from(*one) - 17, record(*one))),
            [] => {}
        }
        client_fit(&reading, &chain).map(|(fit, _)| fit)
    };
    assert_eq!(shown(&[895, 96, 69]), Some(Fit::Exact));
    assert_eq!(shown(&[894, 96, 69]), None);
    // rustls: Certificate, CertificateVerify with 71, Finished.
    assert_eq!(shown(&[878 + 79 + 52 + 17]), Some(Fit::Several));
    assert_eq!(shown(&[878 + 79 + 52 + 17 + 9]), None);
    assert_eq!(shown(&[]), None);
}
