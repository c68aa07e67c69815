//! CAs that the stores have ceased to trust, wholly or for what they issued after a day.

use crate::base::Stamp;
use crate::tls::cert::Certificate;

/// CAs that the stores distrust, and keys that were published: a part of the root's subject, since
/// when (seconds; the later where stores differ), and why.
const DISTRUSTED: [(&str, i64, &str); 14] = [
    ("DigiNotar", 1_314_835_200, "a CA removed by all stores in September 2011 after its compromise"), // 2011-09-01
    ("CNNIC", 1_427_932_800, "a CA distrusted by Mozilla and Chrome since April 2015"), // 2015-04-02
    ("WoSign", 1_485_388_800, "a CA distrusted by all stores since January 2017"),      // 2017-01-26
    ("StartCom", 1_485_388_800, "a CA distrusted by all stores since January 2017"),    // 2017-01-26
    ("Symantec", 1_540_252_800, "a CA distrusted by all stores since October 2018"),    // 2018-10-23
    ("GeoTrust Inc", 1_540_252_800, "a Symantec brand, distrusted by all stores since October 2018"), // 2018-10-23
    ("thawte\\, Inc", 1_540_252_800, "a Symantec brand, distrusted by all stores since October 2018"), // 2018-10-23
    ("VeriSign\\, Inc", 1_540_252_800, "a Symantec brand, distrusted by all stores since October 2018"), // 2018-10-23
    ("Certinomis", 1_562_630_400, "a CA removed by Mozilla in July 2019"), // 2019-07-09
    ("TrustCor", 1_669_766_400, "a CA distrusted by Mozilla and Microsoft since November 2022"), // 2022-11-30
    ("E-Tugra", 1_690_761_600, "a CA removed by Mozilla and Chrome in summer 2023"), // 2023-07-31
    ("Superfish", 1_424_304_000, "a CA whose private key was published in February 2015"), // 2015-02-19
    ("eDellRoot", 1_448_236_800, "a CA whose private key was published in November 2015"), // 2015-11-23
    ("DSDTestProvider", 1_448_323_200, "a CA whose private key was published in November 2015"), // 2015-11-24
];

/// Roots that Mozilla trusts no more for certificates issued after a moment, while older ones stay good: the first eight
/// octets of the root's SHA-256, the moment, and its day. From CKA_NSS_SERVER_DISTRUST_AFTER in lib/ckfw/builtins/
/// certdata.txt of NSS, all versions from 2020 to May 2026; some of these roots were removed later. Chrome has days of
/// its own, most of them within weeks of these.
const NOT_AFTER: [(u64, i64, &str); 30] = [
    (0x3e84_ba43_4290_8516, 1_504_224_000, "2017-09-01"), // EE Certification Centre Root CA
    (0xa045_9b9f_63b2_2559, 1_538_265_600, "2018-09-30"), // GeoTrust Universal CA
    (0xa431_0d50_af18_a644, 1_538_265_600, "2018-09-30"), // thawte Primary Root CA - G2
    (0x69dd_d7ea_90bb_57c9, 1_548_892_800, "2019-01-31"), // VeriSign Class 3 Public Primary Certification Authority - G4
    (0x37d5_1006_c512_eaab, 1_556_582_400, "2019-04-30"), // GeoTrust Primary Certification Authority
    (0x8d72_2f81_a9c1_13c0, 1_556_582_400, "2019-04-30"), // thawte Primary Root CA
    (0x9acf_ab7e_43c8_d880, 1_556_582_400, "2019-04-30"), // VeriSign Class 3 Public Primary Certification Authority - G5
    (0xb478_b812_250d_f878, 1_556_582_400, "2019-04-30"), // GeoTrust Primary Certification Authority - G3
    (0x4b03_f458_07ad_70f2, 1_556_582_400, "2019-04-30"), // thawte Primary Root CA - G3
    (0x2399_5611_27a5_7125, 1_556_582_400, "2019-04-30"), // VeriSign Universal Root Certification Authority
    (0x7600_295e_efe8_5b9e, 1_568_851_200, "2019-09-19"), // Taiwan GRCA
    (0x8849_7f01_602f_3154, 1_577_491_200, "2019-12-28"), // EC-ACC
    (0xff85_6a2d_251d_cd88, 1_577_836_800, "2020-01-01"), // GeoTrust Global CA
    (0xa023_4f3b_c852_7ca5, 1_577_836_800, "2020-01-01"), // GeoTrust Universal CA 2
    (0x5edb_7ac4_3b82_a06a, 1_577_836_800, "2020-01-01"), // GeoTrust Primary Certification Authority - G2
    (0xc1b4_8299_aba5_208f, 1_593_561_600, "2020-07-01"), // Trustis FPS Root CA
    (0xd40e_9c86_cd8f_e468, 1_669_766_400, "2022-11-30"), // TrustCor RootCert CA-1
    (0x0753_e940_378c_1bd5, 1_669_766_400, "2022-11-30"), // TrustCor RootCert CA-2
    (0x5a88_5db1_9c01_d912, 1_669_766_400, "2022-11-30"), // TrustCor ECA-1
    (0x9a29_6a51_82d1_d451, 1_719_705_600, "2024-06-30"), // GLOBALTRUST 2020
    (0x6dc4_7172_e01c_bcb0, 1_733_011_199, "2024-11-30"), // Entrust.net Premium 2048 Secure Server CA
    (0x73c1_7643_4f1b_c6d5, 1_733_011_199, "2024-11-30"), // Entrust Root Certification Authority
    (0x43df_5774_b03e_7fef, 1_733_011_199, "2024-11-30"), // Entrust Root Certification Authority - G2
    (0x02ed_0eb2_8c14_da45, 1_733_011_199, "2024-11-30"), // Entrust Root Certification Authority - EC1
    (0x0376_ab1d_54c5_f980, 1_733_011_199, "2024-11-30"), // AffirmTrust Commercial
    (0x0a81_ec5a_9297_77f1, 1_733_011_199, "2024-11-30"), // AffirmTrust Networking
    (0x70a7_3f7f_376b_6007, 1_733_011_199, "2024-11-30"), // AffirmTrust Premium
    (0xbd71_fdf6_da97_e4cf, 1_733_011_199, "2024-11-30"), // AffirmTrust Premium ECC
    (0xc0a6_f4dc_63a2_4bfd, 1_744_761_599, "2025-04-15"), // ePKI Root Certification Authority
    (0x2530_cc8e_9832_1502, 1_776_297_599, "2026-04-15"), // Izenpe.com
];

/// Why a path that ends in this certificate is distrusted, if it is.
pub(super) fn of(top: &Certificate, leaf: Option<&Certificate>, at: Stamp) -> Option<String> {
    let named = DISTRUSTED.iter().find(|(part, since, _)| top.issuer.contains(part) && at.secs() >= *since);
    if let Some((.., why)) = named {
        return Some((*why).to_owned());
    }
    let begins = top.sha256.first_chunk().map(|octets| u64::from_be_bytes(*octets));
    let (_, moment, day) = NOT_AFTER.iter().find(|(of, ..)| begins == Some(*of))?;
    let issued = leaf?.not_before;
    (issued.secs() > *moment).then(|| {
        format!(
            "which Mozilla trusts for certificates issued until {day} only; the leaf was issued on {}",
            issued.date()
        )
    })
}

/// The seconds at which an answer may change.
pub(super) fn turns() -> impl Iterator<Item = i64> {
    DISTRUSTED.iter().map(|(_, since, _)| *since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_with_a_last_day_is_trusted_for_what_was_issued_before() {
        let root = |der: &[u8]| Certificate::parse(der);
        let entrust = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| root(der));
        let entrust: Vec<_> = entrust
            .filter(|root| root.subject.contains("Entrust Root Certification Authority - G2"))
            .collect();
        let mut leaf = Certificate::parse(&[]);
        for root in &entrust {
            leaf.not_before = Stamp::from_secs(1_733_011_199); // 2024-11-30T23:59:59
            assert_eq!(of(root, Some(&leaf), leaf.not_before), None);
            leaf.not_before = Stamp::from_secs(1_733_011_200);
            assert!(of(root, Some(&leaf), leaf.not_before).is_some_and(|why| why.contains("2024-11-30")));
        }
        let known = NOT_AFTER.iter().filter(|(_, moment, _)| *moment > 1_730_000_000).count();
        assert_eq!(known, 10);
    }
}
