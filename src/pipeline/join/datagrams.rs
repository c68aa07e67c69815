//! Successes over datagrams, apart from those over TCP: who is answered over one need not be over the other.

use crate::base::{Addr, Endpoint, Seen};
use crate::evidence::Evidence;
use crate::pipeline::memory::Recent;

/// Who completed over QUIC or DTLS.
#[derive(Debug)]
pub(super) struct Datagrams {
    /// By client and server address.
    reached: Recent<(Addr, Addr), Seen<Endpoint>>,
    /// By server.
    served: Recent<Endpoint, Seen<()>>,
}

impl Datagrams {
    /// Nothing yet; at most this many servers.
    pub fn new(most: usize) -> Self {
        Self { reached: Recent::new(most, 1), served: Recent::new(most, 1) }
    }

    /// An attempt went on to carry data.
    pub fn completed(&mut self, evidence: &Evidence) {
        let (client, server) = (evidence.client.addr, evidence.server);
        let at =
            evidence.server_hello.as_ref().map_or_else(|| evidence.last.into(), |hello| hello.at.clone());
        let seen = Seen { value: server, at, when: evidence.ended };
        self.served.put(server, seen.clone().map(|_| ()));
        self.reached.put((client, server.addr), seen);
    }

    /// The latest success of this client at this address.
    pub fn reached(&self, client: Addr, server: Addr) -> Option<&Seen<Endpoint>> {
        self.reached.get(&(client, server)).next()
    }

    /// The latest success at this server.
    pub fn served(&self, server: &Endpoint) -> Option<&Seen<()>> {
        self.served.get(server).next()
    }
}
