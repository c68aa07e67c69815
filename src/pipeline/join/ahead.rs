//! What the join will write of an attempt, fetched ahead: its memories are many, and each is a table in which an attempt meets
//! another place.

use super::{Join, Make, name};
use crate::base::prefetch;
use crate::evidence::Evidence;
use crate::pipeline::shard::{Out, What};

impl<M: Make> Join<M> {
    /// Has fetched where what a shard gave will be written, some packets before it is taken.
    #[inline]
    pub fn foresee(&self, out: &Out) {
        match &out.what {
            What::Syn(server, first_seq, _) => self.syns.approach(&(*server, *first_seq)),
            What::Closed(evidence) => {
                prefetch(&**evidence);
                self.approach(evidence);
            }
            _ => {}
        }
    }

    /// Has fetched where [`Self::remember`] begins with what it keeps of every attempt that went well, so that its misses are
    /// waited for at once.
    fn approach(&self, evidence: &Evidence) {
        let (client, server) = (evidence.client.addr, evidence.server.addr);
        self.paths.approach(&(client, server));
        self.reached_addresses.approach(&(client, server));
        self.served.approach(&evidence.server);
        let name = name(evidence).map(|name| &**name);
        if let Some(name) = name {
            self.reached_names.approach(&(client, name));
            self.lookups.approach(name);
            self.families.approach(name);
        }
        self.clocks.approach([client, server]);
        if evidence.chain.clear().is_some() {
            self.shown.approach(server, name);
        }
    }
}
