//! Floor 4: twelve causes, each a pure module that judges [`Evidence`].
//!
//! A judgement has three answers: `Found` with a finding that cites packets, `Absent`, or `Blind`
//! with what the capture lacks. [`weigh`] makes one diagnosis of the twelve.

#[cfg(test)]
mod chains_fixture;
pub mod client_certificate;
pub mod crossing;
pub mod culprit;
pub mod faults;
pub mod signal;
pub mod stack;
pub mod weigh;

use crate::base::{Cite, Side};
use crate::evidence::Evidence;

pub use weigh::Diagnosis;

/// How sure a finding is (see the README for what each word promises).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// It fits, and so does another reading.
    Suspected,
    /// Sizes, order, timing, earlier handshakes or DNS point one way.
    Inferred,
    /// Cleartext bytes leave one reading.
    Proven,
}

impl Certainty {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Inferred => "inferred",
            Self::Proven => "proven",
        }
    }
}

/// Whose fault a finding shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// The server's configuration.
    Server,
    /// The client's configuration.
    Client,
    /// Something between them.
    Path,
}

impl Party {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Path => "path",
        }
    }
}

impl From<Side> for Party {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Self::Client,
            Side::Server => Self::Server,
        }
    }
}

/// One thing that packets prove, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The packets, or the silence after them.
    pub cite: Cite,
    /// What they show.
    pub says: String,
}

/// A cause found, with what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How sure.
    pub certainty: Certainty,
    /// The reason, a word of the cause's list.
    pub reason: &'static str,
    /// Whose fault it shows.
    pub party: Party,
    /// What proves it; never empty.
    pub proofs: Vec<Proof>,
}

impl Finding {
    /// The only way to make one, so that a finding without a citation cannot be.
    pub fn new(
        certainty: Certainty,
        reason: &'static str,
        party: Party,
        cite: impl Into<Cite>,
        says: impl Into<String>,
    ) -> Self {
        Self { certainty, reason, party, proofs: vec![Proof { cite: cite.into(), says: says.into() }] }
    }

    /// Adds a proof.
    #[must_use]
    pub fn and(mut self, cite: impl Into<Cite>, says: impl Into<String>) -> Self {
        self.proofs.push(Proof { cite: cite.into(), says: says.into() });
        self
    }
}

/// What a cause says about one failed handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is there.
    Found(Finding),
    /// It is not there.
    Absent,
    /// The capture does not show it; why.
    Blind(&'static str),
}

#[cfg(test)]
impl Judgement {
    /// What was found.
    fn found(self) -> Option<Finding> {
        match self {
            Self::Found(finding) => Some(finding),
            Self::Absent | Self::Blind(_) => None,
        }
    }
}

/// A cause's reason with what to do about it.
pub struct Reason {
    /// The word in events.
    pub word: &'static str,
    /// What to do, one short paragraph.
    pub remedy: &'static str,
    /// The same as steps.
    pub steps: &'static [&'static str],
}

/// Declares the causes once: variant, module, order.
macro_rules! causes {
    ($( $variant:ident => $module:ident ),+ $(,)?) => {
        $( pub mod $module; )+

        /// The twelve causes, most specific first where findings are otherwise equal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause { $( #[doc = concat!("See [`", stringify!($module), "`].")] $variant, )+ }

        impl Cause {
            /// Every cause, in order.
            pub const ALL: [Self; 12] = [ $( Self::$variant ),+ ];

            /// The one word for a cause everywhere: module, event, folder, option.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$variant => stringify!($module), )+ }
            }

            /// Judges one attempt by this cause alone.
            pub fn judge(self, evidence: &Evidence) -> Judgement {
                match self { $( Self::$variant => $module::judge(evidence), )+ }
            }

            /// The reasons this cause can give.
            pub const fn reasons(self) -> &'static [Reason] {
                match self { $( Self::$variant => $module::REASONS, )+ }
            }

            /// The cause's source file, whose `//!` lines are its page.
            pub const fn source(self) -> &'static str {
                match self { $( Self::$variant => include_str!(concat!(stringify!($module), ".rs")), )+ }
            }
        }
    };
}

causes! {
    ExpiredCert => expired_cert,
    ValidityMisconfig => validity_misconfig,
    Revocation => revocation,
    NameMismatch => name_mismatch,
    MissingExtension => missing_extension,
    DamagedKey => damaged_key,
    BrokenChain => broken_chain,
    StoragePermission => storage_permission,
    ProtocolVersion => protocol_version,
    DnsInconsistency => dns_inconsistency,
    NatDrop => nat_drop,
    Firewall => firewall,
}

impl Cause {
    /// The cause of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.word() == word)
    }
}
