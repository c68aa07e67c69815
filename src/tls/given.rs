//! Certificates given beforehand: chains that servers present, and authorities that they may leave out.

use super::cert::Certificate;
use super::names::{Cover, covers};
use super::trust::{TrustError, certificates};
use std::collections::HashMap;
use std::sync::Arc;

/// Chains as servers present them, leaf first, found by the names of their leaves; and authorities, found by subject.
#[derive(Clone, Debug, Default)]
pub struct Given {
    chains: Vec<Arc<[Arc<Certificate>]>>,
    by_host: HashMap<String, Vec<usize>>,
    by_subject: HashMap<Vec<u8>, Vec<Arc<Certificate>>>,
    count: usize,
}

impl Given {
    /// Certificates kept at most.
    pub const MOST: usize = 65_536;
    /// So many chains may be told apart by their sizes alone: of more, some have the size of any record.
    pub const FEW: usize = 64;
    /// Certificates of a chain at most, those in one file included.
    const LONGEST: usize = 16;

    /// Adds the certificates of a file, PEM or DER. A leaf and what follows it is a chain as its server presents it.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        let certs = certificates(bytes)?.into_iter().map(|der| Arc::new(Certificate::parse(&der)));
        let certs: Vec<_> = certs.take(Self::MOST - self.count).collect();
        self.count += certs.len();
        let mut chain: Vec<Arc<Certificate>> = Vec::new();
        for cert in certs {
            // Who stands behind what it issued belongs to it, even where it is no authority.
            let follows = chain.last().is_some_and(|before| before.issuer_der == cert.subject_der);
            if cert.is_ca() {
                self.authority(&cert);
            } else if !follows {
                self.chain(std::mem::take(&mut chain));
            }
            // Many who sign their own make themselves an authority.
            let serves = cert.alt_names.as_ref().is_some_and(|names| !names.dns.is_empty());
            if !cert.is_ca() || !chain.is_empty() || serves {
                chain.push(cert);
            }
        }
        self.chain(chain);
        Ok(())
    }

    fn authority(&mut self, cert: &Arc<Certificate>) {
        let alike = self.by_subject.entry(cert.subject_der.clone()).or_default();
        if !alike.iter().any(|other| other.sha256 == cert.sha256) {
            alike.push(Arc::clone(cert));
        }
    }

    fn chain(&mut self, chain: Vec<Arc<Certificate>>) {
        let Some(leaf) = chain.first() else { return };
        let names = leaf.alt_names.iter().flat_map(|names| &names.dns);
        let place = self.chains.len();
        for name in names {
            self.by_host.entry(name.to_ascii_lowercase()).or_default().push(place);
        }
        self.chains.push(chain.into_iter().take(Self::LONGEST).collect());
    }

    /// Chains whose leaf names this host: as given, and each of them with the authorities behind it that were given too,
    /// as far as one leads to the next.
    pub fn of_host(&self, host: &str) -> impl Iterator<Item = Vec<Arc<Certificate>>> {
        let host = host.to_ascii_lowercase();
        let wildcard = host.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        let names = [Some(host), wildcard].into_iter().flatten();
        let places = names.filter_map(|name| self.by_host.get(&name)).flatten();
        places.filter_map(|&place| self.chains.get(place)).flat_map(|chain| self.lengths(chain))
    }

    /// Chains whose leaves name other hosts or none; nothing where more than [`Self::FEW`] are given.
    pub fn of_others(&self, host: Option<&str>) -> impl Iterator<Item = Vec<Arc<Certificate>>> {
        let few = if self.chains.len() <= Self::FEW { &self.chains[..] } else { &[] };
        let names_it = move |chain: &&Arc<[Arc<Certificate>]>| {
            let leaf = chain.first().zip(host);
            leaf.is_some_and(|(leaf, host)| covers(leaf, host) == Cover::Covers)
        };
        few.iter().filter(move |chain| !names_it(chain)).flat_map(|chain| self.lengths(chain))
    }

    fn lengths(&self, chain: &[Arc<Certificate>]) -> Vec<Vec<Arc<Certificate>>> {
        let mut chain = chain.to_vec();
        let mut found = vec![chain.clone()];
        while chain.len() < 6
            && let Some(top) = chain.last().filter(|top| !top.is_self_issued())
            && let Some(above) = self.authorities(&top.issuer_der).first()
        {
            chain.push(Arc::clone(above));
            found.push(chain.clone());
        }
        found
    }

    /// The authorities of a name.
    pub fn authorities(&self, subject: &[u8]) -> &[Arc<Certificate>] {
        self.by_subject.get(subject).map_or(&[], Vec::as_slice)
    }

    /// Certificates held.
    pub fn len(&self) -> usize {
        self.count
    }

    /// None is held.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::cert::forge::{Forge, Key};

    fn pem(ders: &[Vec<u8>]) -> Vec<u8> {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = Vec::new();
        for der in ders {
            text.extend(b"-----BEGIN CERTIFICATE-----\n");
            for group in der.chunks(3) {
                let byte = |n: usize| u32::from(group.get(n).copied().unwrap_or(0));
                let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
                let digit = |n: u32| DIGITS[(bits >> (18 - 6 * n) & 63) as usize];
                text.extend((0..4).map(|n| if n as usize > group.len() { b'=' } else { digit(n) }));
            }
            text.extend(b"\n-----END CERTIFICATE-----\n");
        }
        text
    }

    #[test]
    fn a_chain_is_found_by_its_hosts_with_and_without_the_authorities_behind_it() {
        let key = Key::new();
        let mut given = Given::default();
        given.add(&Forge::leaf("*.example.com", "Sub").der(&key, &key)).unwrap();
        given.add(&Forge::ca("Sub", "Root").der(&key, &key)).unwrap();
        let lengths = |host: &str| given.of_host(host).map(|chain| chain.len()).collect::<Vec<_>>();
        assert_eq!(lengths("www.EXAMPLE.com"), [1, 2]);
        assert_eq!(lengths("example.com"), [0; 0]);
        assert_eq!(given.len(), 2);
    }

    #[test]
    fn who_stands_behind_what_it_issued_belongs_to_it_and_chains_of_others_are_found() {
        let key = Key::new();
        let (leaf, above) = (Forge::leaf("www.example.com", "Sub"), Forge::leaf("Sub", "Root"));
        let mut given = Given::default();
        given.add(&pem(&[leaf.der(&key, &key), above.der(&key, &key)])).unwrap();
        let lengths = |host| given.of_others(host).map(|chain| chain.len()).collect::<Vec<_>>();
        assert_eq!(lengths(Some("shop.example.com")), [2]);
        assert_eq!(lengths(Some("www.example.com")), [0; 0], "its own");
        assert_eq!(lengths(None), [2], "nobody asked for a name");
    }

    #[test]
    fn what_is_no_certificate_is_said() {
        assert_eq!(Given::default().add(b"hello"), Err(TrustError::NoCertificate));
    }
}
