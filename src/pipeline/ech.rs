//! Keys for Encrypted ClientHello (RFC 9849) that clients were told of.

use super::memory::Recent;
use crate::aside::dns::DnsAnswer;
use crate::base::{Addr, Seen};
use crate::tls::hello::ClientHello;
use std::sync::Arc;

/// A key's number, and the name that has it.
type Told = Seen<(u8, Arc<str>)>;

/// What clients were told, by client and public name; empty where no answer shows any.
#[derive(Debug)]
pub struct EchKeys(Recent<(Addr, Arc<str>), Told>);

/// Names that one public name stands for, per client.
const NAMES: usize = 4;

impl EchKeys {
    /// Remembers those of so many public names.
    pub fn new(most: usize) -> Self {
        Self(Recent::new(most, NAMES))
    }

    /// A client was given an answer.
    pub fn answered(&mut self, client: Addr, answer: &Seen<DnsAnswer>) {
        for key in &answer.value.ech_keys {
            let told = answer.clone().map(|answer| (key.id, answer.name.into()));
            self.0.put((client, Arc::<str>::from(&*key.public_name)), told);
        }
    }

    /// The name for which the client was told of the key that this hello bears.
    pub fn name(&self, client: Addr, hello: &ClientHello) -> Option<Seen<Arc<str>>> {
        if self.0.is_empty() {
            return None;
        }
        let (id, sni) = (hello.ech_key?, hello.sni.as_ref()?);
        let told = self.0.get(&(client, Arc::clone(sni))).find(|told| told.value.0 == id)?;
        Some(told.clone().map(|(_, name)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aside::dns::EchKey;
    use crate::evidence::fixture::{greeted, seen};

    fn answer(id: u8, public_name: &str) -> Seen<DnsAnswer> {
        let key = EchKey { id, public_name: public_name.to_owned() };
        seen(DnsAnswer { name: "www.test".to_owned(), ech_keys: vec![key], ..DnsAnswer::default() }, 2, 0)
    }

    #[test]
    fn a_key_is_genuine_where_the_client_was_told_of_it() {
        let client = greeted().client.addr;
        let hello =
            ClientHello { ech_key: Some(7), sni: Some("front.test".into()), ..ClientHello::default() };
        let mut keys = EchKeys::new(8);
        assert_eq!(keys.name(client, &hello), None);
        keys.answered(client, &answer(8, "front.test"));
        keys.answered(client, &answer(7, "other.test"));
        assert_eq!(keys.name(client, &hello), None, "another number, and another public name");
        keys.answered(client, &answer(7, "front.test"));
        assert_eq!(keys.name(client, &hello).unwrap().value.as_ref(), "www.test");
    }
}
