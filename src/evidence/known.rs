//! Certificates known from elsewhere, of which a sealed flight has the size.

use crate::base::{PacketNo, Packets, Seen};
use crate::tls::cert::Certificate;
use crate::tls::ocsp::Response as OcspResponse;
use crate::tls::sealed::{Fit, SealedRecord};
use std::sync::Arc;

/// Where a chain is known from. The nearer to the handshake that is judged, the earlier here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KnownFrom {
    /// The same server showed it in clear for the same name.
    Server,
    /// It was given beforehand, and its leaf names the host.
    Given,
    /// Another address showed it in clear for the same name.
    Name,
    /// The same address showed it in clear for another name.
    Address,
    /// It was given beforehand, and its leaf names other hosts.
    GivenForOthers,
    /// The same client showed it in clear.
    Client,
}

impl KnownFrom {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Given => "given",
            Self::Name => "name",
            Self::Address => "address",
            Self::GivenForOthers => "given_for_others",
            Self::Client => "client",
        }
    }

    /// It was not shown in the traffic.
    pub const fn is_given(self) -> bool {
        matches!(self, Self::Given | Self::GivenForOthers)
    }
}

/// Certificates known from an earlier or a later handshake, or given beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownBefore {
    /// Leaf first, as shown then; fewer where the sealed record has room for these only.
    pub chain: Seen<Vec<Arc<Certificate>>>,
    /// The sealed record of this handshake that has their size.
    pub record: SealedRecord,
    /// Where they are known from.
    pub from: KnownFrom,
    /// How well they fit.
    pub fit: Fit,
    /// Of the certificates that are known, those at the end that this flight lacks.
    pub lacks: usize,
    /// An answer was stapled to them then, and the size has room for just it.
    pub stapled: bool,
    /// That answer, where it is not good.
    pub staple: Option<Arc<Seen<OcspResponse>>>,
    /// The client asked a responder about this leaf while it shook hands; cites that.
    pub asked_about: Option<Packets>,
    /// The same server signed another handshake with a key that is not this leaf's; cites that.
    pub misfit: Option<Packets>,
    /// Another chain that is known fits as well and has other defects, or the client asked responders about others only.
    pub rivals: bool,
}

impl ShownBefore {
    /// What is known by its size in one record, and by nothing else.
    pub fn of_size(chain: Seen<Vec<Arc<Certificate>>>, record: SealedRecord, from: KnownFrom) -> Self {
        let (staple, asked_about, misfit) = (None, None, None);
        let (fit, lacks, stapled, rivals) = (Fit::Exact, 0, false, false);
        Self { chain, record, from, fit, lacks, stapled, staple, asked_about, misfit, rivals }
    }

    /// The size, or who asked about it, leaves hardly another reading.
    pub fn is_sure(&self) -> bool {
        let near = matches!(self.from, KnownFrom::Server | KnownFrom::Given | KnownFrom::Client);
        let sized = match self.fit {
            // By its size alone a chain for other hosts is one of many that this server may have.
            Fit::Exact => near || self.from == KnownFrom::Name,
            Fit::Several => near,
            Fit::Stapled | Fit::Compressed | Fit::Hidden => false,
        };
        !self.rivals && (sized || self.asked_about.is_some())
    }

    /// The size says that no answer is stapled.
    pub const fn lacks_staple(&self) -> bool {
        matches!(self.fit, Fit::Exact | Fit::Several) && !self.stapled
    }

    /// `the certificates shown then`.
    pub const fn whose(&self) -> &'static str {
        match self.from {
            KnownFrom::Server | KnownFrom::Client => "shown then",
            KnownFrom::Given => "given for this name",
            KnownFrom::Name => "shown then by another address for this name",
            KnownFrom::Address => "shown then for another name",
            KnownFrom::GivenForOthers => "given, which name others",
        }
    }

    /// What the sizes say, for people.
    pub fn says(&self) -> String {
        let (len, whose) = (self.record.len, self.whose());
        match (self.fit, self.lacks) {
            (Fit::Exact, 0) => {
                format!("a sealed record of {len} bytes, the size of the certificates {whose}")
            }
            (Fit::Exact, lacks) => {
                let kept = self.chain.value.len();
                format!(
                    "a sealed record of {len} bytes, the size of the first {kept} of the certificates {whose}, without the last {lacks}"
                )
            }
            (Fit::Several, _) => {
                format!(
                    "a sealed record of {len} bytes, about the size of a flight with the certificates {whose}"
                )
            }
            (Fit::Stapled, _) => {
                format!(
                    "a sealed record of {len} bytes has room for the certificates {whose} and a stapled answer"
                )
            }
            (Fit::Hidden, _) => {
                format!(
                    "the sealed records are padded: whether they hold the certificates {whose} cannot be measured"
                )
            }
            (Fit::Compressed, _) => {
                format!(
                    "a sealed record of {len} bytes has room for the certificates {whose} once compressed"
                )
            }
        }
    }
}

/// What of the known certificates fits a sealed flight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownChains {
    /// Chains known for this server or this name.
    pub known: u32,
    /// Of them, those that fit; the likeliest first, at most eight.
    pub fitting: Vec<ShownBefore>,
    /// None fits, although the flight is measured: the packet in which the same server showed another one for this name.
    pub changed: Option<PacketNo>,
}

impl KnownChains {
    /// Chains kept that fit.
    pub const MOST: usize = 8;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Stamp;

    fn known(from: KnownFrom, fit: Fit) -> ShownBefore {
        let record = SealedRecord { content_type: 23, len: 900, at: PacketNo(6), when: Stamp(0) };
        ShownBefore {
            fit,
            ..ShownBefore::of_size(Seen::new(Vec::new(), PacketNo(2), Stamp(0)), record, from)
        }
    }

    #[test]
    fn what_is_measured_to_the_byte_or_shown_by_the_same_server_is_sure() {
        use KnownFrom::{Address, Given, GivenForOthers, Name, Server};
        let cases = [
            (Server, Fit::Exact, true),
            (Given, Fit::Exact, true),
            (Name, Fit::Exact, true),
            (GivenForOthers, Fit::Exact, false),
            (Address, Fit::Exact, false),
            (Server, Fit::Several, true),
            (Name, Fit::Several, false),
            (GivenForOthers, Fit::Several, false),
            (Server, Fit::Stapled, false),
            (Server, Fit::Compressed, false),
            (Server, Fit::Hidden, false),
        ];
        for (from, fit, sure) in cases {
            assert_eq!(known(from, fit).is_sure(), sure, "{from:?} {fit:?}");
        }
    }

    #[test]
    fn a_rival_leaves_a_doubt_and_who_asked_about_the_leaf_takes_it() {
        let mut rivalled = known(KnownFrom::Server, Fit::Exact);
        rivalled.rivals = true;
        assert!(!rivalled.is_sure());
        let mut asked = known(KnownFrom::Address, Fit::Compressed);
        asked.asked_about = Some(Packets::one(PacketNo(8)));
        assert!(asked.is_sure());
    }

    #[test]
    fn it_is_told_what_lacks() {
        let mut short = known(KnownFrom::Given, Fit::Exact);
        assert!(short.says().contains("900 bytes, the size of the certificates given for this name"));
        short.lacks = 1;
        assert!(short.says().contains("without the last 1"), "{}", short.says());
    }
}
