//! Floor 7: frames to judged handshakes.
//!
//! ```text
//! frames ─▶ decode ─▶ shard ×N ─▶ join ─▶ judged handshakes, in order
//! ```
//!
//! [`shard`] follows connections and closes attempts; shards share nothing but the keys. [`join`] alone sees all of them: it
//! remembers what other traffic tells (`lookups`, `statuses`, `clocks`, `contrasts` and the like, a memory each), waits for
//! siblings (`families`, `episodes`), judges and orders.
//!
//! What wires them:
//!
//! * [`run`] for files: with one worker in one thread on the read buffer itself, with more (`workers`) in blocks of the file
//!   that all shards read, each what is its own.
//! * [`rings`] for interfaces: one shard a ring, which `follow` drives; `judge` waits for all of them. `bypass` has the kernel keep
//!   back what a shard would pass over.
//! * [`vantages`] for both sides of a gateway.
//!
//! The events do not depend on the number of workers until a bound is hit.

mod ahead;
mod benign;
mod bypass;
mod clock;
mod clocks;
mod contrasts;
mod dialects;
mod ech;
mod episodes;
mod families;
mod follow;
pub mod gauges;
pub mod join;
mod judge;
mod lookups;
mod make;
mod memory;
mod offers;
mod order;
pub mod renewal;
mod retain;
pub mod rings;
pub mod run;
pub mod shard;
mod statuses;
pub mod vantages;
mod workers;

pub use gauges::Gauges;
pub use join::Judged;
pub use make::{AsJudged, Make};
pub use renewal::{Renewal, Renewed};
pub use rings::{LiveRing, Ring, analyse_rings};
pub use run::{Arrival, Settings, Source, Totals, analyse, analyse_here};
pub use statuses::Told;
pub use vantages::analyse_both;
