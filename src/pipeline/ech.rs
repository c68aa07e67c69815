//! Keys for Encrypted ClientHello (RFC 9849): which a client was told of, and which it tried one after the other.

use super::memory::Recent;
use crate::aside::dns::DnsAnswer;
use crate::base::{Addr, Endpoint, Seen};
use crate::evidence::Evidence;
use crate::evidence::around::Ech;
use crate::tls::hello::ClientHello;
use std::sync::Arc;

/// Memory of keys, empty where no client uses any.
#[derive(Debug)]
pub struct EchKeys {
    /// Keys and whose they are, by client and public name.
    told: Recent<(Addr, Arc<str>), Seen<(u8, Arc<str>)>>,
    /// Of attempts that ended as one whose key was refused: the key, and the next that the client tried there.
    tried: Recent<(Addr, Endpoint), (u8, Option<Seen<u8>>)>,
}

/// Names that one public name stands for, per client.
const NAMES: usize = 4;

impl EchKeys {
    /// Remembers at most so many of each.
    pub fn new(most: usize) -> Self {
        Self { told: Recent::new(most, NAMES), tried: Recent::new(most, 1) }
    }

    /// A client was given an answer.
    pub fn answered(&mut self, client: Addr, answer: &Seen<DnsAnswer>) {
        for key in &answer.value.ech_keys {
            let told = answer.clone().map(|answer| (key.id, answer.name.into()));
            self.told.put((client, key.public_name.as_str().into()), told);
        }
    }

    /// This attempt ended as one whose key was refused.
    pub fn refused(&mut self, e: &Evidence) {
        if let Some(key) = e.hello.as_ref().and_then(|hello| hello.value.ech_key) {
            self.tried.put((e.client.addr, e.server), (key, None));
        }
    }

    /// A client offers a key: whether another was refused before.
    pub fn offered(&mut self, e: &Evidence) {
        if self.tried.is_empty() {
            return;
        }
        if let Some(hello) = &e.hello
            && let Some(key) = hello.value.ech_key
            && let Some((first, next)) = self.tried.newest_mut(&(e.client.addr, e.server))
            && *first != key
            && next.is_none()
        {
            *next = Some(Seen { value: key, at: hello.at.clone(), when: hello.when });
        }
    }

    /// What is known of the key of this attempt's hello.
    pub fn of(&self, e: &Evidence) -> Option<Ech> {
        if self.told.is_empty() && self.tried.is_empty() {
            return None;
        }
        let hello = &e.hello.as_ref()?.value;
        let again = self.tried.get(&(e.client.addr, e.server)).find(|(key, _)| Some(*key) == hello.ech_key);
        let again = again.and_then(|(_, next)| next.clone()).filter(|next| next.when >= e.started);
        let told = self.told_for(e.client.addr, hello);
        (told.is_some() || again.is_some()).then_some(Ech { told, again })
    }

    /// The name for which the client was told of the key that this hello bears.
    fn told_for(&self, client: Addr, hello: &ClientHello) -> Option<Seen<Arc<str>>> {
        let (id, sni) = (hello.ech_key?, hello.sni.as_ref()?);
        let told = self.told.get(&(client, Arc::clone(sni))).find(|told| told.value.0 == id)?;
        Some(told.clone().map(|(_, name)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aside::dns::EchKey;
    use crate::evidence::fixture::{greeted, seen};

    /// An attempt with this key, that begins then.
    fn attempt(key: u8, ms: i64) -> Evidence {
        let mut e = greeted();
        let hello = e.hello.as_mut().unwrap();
        hello.value.ech_key = Some(key);
        hello.value.sni = Some("front.test".into());
        *hello = Box::new(seen(hello.value.clone(), 4, ms));
        e
    }

    fn answer(id: u8, public_name: &str) -> Seen<DnsAnswer> {
        let key = EchKey { id, public_name: public_name.to_owned() };
        seen(DnsAnswer { name: "www.test".to_owned(), ech_keys: vec![key], ..DnsAnswer::default() }, 2, 0)
    }

    #[test]
    fn a_key_is_genuine_where_the_client_was_told_of_it() {
        let (e, mut keys) = (attempt(7, 20), EchKeys::new(8));
        assert_eq!(keys.of(&e), None);
        keys.answered(e.client.addr, &answer(8, "front.test"));
        keys.answered(e.client.addr, &answer(7, "other.test"));
        assert_eq!(keys.of(&e), None, "another number, and another public name");
        keys.answered(e.client.addr, &answer(7, "front.test"));
        assert_eq!(keys.of(&e).and_then(|ech| ech.told).unwrap().value.as_ref(), "www.test");
    }

    #[test]
    fn another_key_at_the_same_server_is_a_second_try() {
        let (first, second, mut keys) = (attempt(7, 20), attempt(23, 200), EchKeys::new(8));
        keys.offered(&second);
        keys.refused(&first);
        keys.offered(&first);
        assert_eq!(keys.of(&first), None, "the same key");
        keys.offered(&second);
        assert_eq!(keys.of(&first).and_then(|ech| ech.again).unwrap().value, 23);
        assert_eq!(keys.of(&second), None);
    }
}
