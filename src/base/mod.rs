//! Floor 0: the words every other floor speaks. No I/O, no clock.

pub mod base64;
pub mod boxed;
pub mod cite;
pub mod flow_key;
pub mod limits;
pub mod lost;
pub mod prefetch;
pub mod rare;
pub mod time;

pub use boxed::boxed;
pub use cite::{Cite, PacketNo, Packets, Seen};
pub use flow_key::{Addr, Direction, Endpoint, FlowKey, PackedKey, PerSide, Side};
pub use limits::Limits;
pub use lost::Lost;
pub use prefetch::prefetch;
pub use rare::{Blank, Rare};
pub use time::{Span, Stamp};
