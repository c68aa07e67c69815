//! Which servers speak national protocols and suites, and which of them speak others too.

use super::memory::Recent;
use crate::base::{Addr, Endpoint, Seen};
use crate::evidence::Evidence;
use crate::evidence::around::National;
use crate::tls::codes::Version;

/// Memory of the servers that chose TLCP or SM4, which are few: that of others costs nothing.
#[derive(Debug)]
pub struct Dialects(Recent<Endpoint, National>);

impl Dialects {
    /// Remembers at most so many servers.
    pub fn new(servers: usize) -> Self {
        Self(Recent::new(servers, 1))
    }

    /// What this attempt shows of its server. `served`: the server's success before this one, whatever it spoke.
    pub fn learn(&mut self, e: &Evidence, served: Option<&Seen<Addr>>) {
        let chosen = e.server_hello.as_deref();
        let tlcp = e.server_record == Some(Version::TLCP);
        let national = tlcp || chosen.is_some_and(|hello| hello.value.cipher.is_national());
        if !national && (chosen.is_none() || self.0.is_empty()) {
            return;
        }
        let known = self.0.get(&e.server).next().cloned();
        let learned = match (known, national) {
            (None, false) => return,
            (Some(known), false) => National { also_others: true, ..known },
            (known, true) => {
                // Before its first national handshake nothing was kept of it here.
                let also_others = known.map_or(served.is_some(), |known| known.also_others);
                let seen = match chosen {
                    Some(hello) => hello.clone().map(|hello| (hello.version, Some(hello.cipher))),
                    None => e.ending.clone().map(|_| (Version::TLCP, None)),
                };
                National { seen, also_others }
            }
        };
        self.0.put(e.server, learned);
    }

    /// What is known of a server.
    pub fn of(&self, server: &Endpoint) -> Option<&National> {
        self.0.get(server).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Side;
    use crate::evidence::fixture::{alert, answered, greeted, seen};
    use crate::tls::codes::CipherSuite;

    fn chose(version: Version, suite: u16) -> Evidence {
        let mut e = answered(version);
        e.server_hello.as_mut().unwrap().value.cipher = CipherSuite(suite);
        e
    }

    fn after(attempts: &[Evidence]) -> Option<bool> {
        let mut dialects = Dialects::new(8);
        attempts.iter().for_each(|e| dialects.learn(e, None));
        dialects.of(&attempts[0].server).map(|national| national.also_others)
    }

    #[test]
    fn a_server_that_chose_national_suites_is_known() {
        assert_eq!(after(&[chose(Version::TLCP, 0xe013)]), Some(false));
        assert_eq!(after(&[chose(Version::TLS13, 0x00c6)]), Some(false));
        assert_eq!(after(&[chose(Version::TLS13, 0x1301)]), None);
        let mut refused = alert(greeted(), Side::Server, 40);
        assert_eq!(after(std::slice::from_ref(&refused)), None);
        refused.server_record = Some(Version::TLCP);
        assert_eq!(after(&[refused]), Some(false), "it answers in TLCP's records");
    }

    #[test]
    fn a_server_that_chose_others_too_is_not_of_one_kind() {
        let (tlcp, tls) = (chose(Version::TLCP, 0xe013), chose(Version::TLS12, 0xc02f));
        assert_eq!(after(&[tlcp.clone(), tls.clone()]), Some(true));
        assert_eq!(after(&[tlcp.clone(), tls, tlcp.clone()]), Some(true));
        let mut dialects = Dialects::new(8);
        let before = seen(tlcp.client.addr, 3, 0);
        dialects.learn(&tlcp, Some(&before));
        assert_eq!(dialects.of(&tlcp.server).map(|national| national.also_others), Some(true));
    }
}
