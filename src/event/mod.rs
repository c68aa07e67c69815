//! Floor 5: what others read. One JSON object a line; `schema.json` is the contract.
//!
//! [`handshake()`] writes an attempt with its verdict, [`revocation()`] an exchange about revocation, [`stats()`] the last
//! line of a run, [`running()`] how a program that runs on is; [`Tally`] counts both for the summary. [`Inventory`] lists the
//! certificates seen.
//! Fields may be added under the same schema version, never renamed or given another meaning.

mod certificate;
mod dtls;
mod ends;
mod handshake;
mod id;
mod inventory;
mod json;
mod kept;
mod line;
mod network;
mod quic;
mod revocation;
mod running;
mod sealed;
mod stats;
mod tally;
mod vantages;

#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod fixture;

pub use crate::cause::weigh::Hygiene;
pub use certificate::certificate_json;
pub use handshake::{handshake, handshake_apart, handshake_with};
pub use id::{Id, asked_name, community_id};
pub use inventory::{Inventory, Item, Role, certificate_event, certificates_csv, shown};
pub use json::is_unprintable;
pub use kept::Kept;
pub use line::Line;
pub use revocation::{StatusKnown, StatusTally, revocation};
pub use running::{BypassedNow, InterfaceNow, KeptNow, OutputNow, Running, Since, Spread, running};
pub use stats::{FileRead, Stats, stats};
pub use tally::Tally;

/// The value of `schema` in every event.
pub const SCHEMA: &str = "tlswhy/1";

/// The JSON Schema (draft 2020-12) of the events.
pub const JSON_SCHEMA: &str = include_str!("schema.json");
