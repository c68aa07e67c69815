//! Floor 2: the table of connections, TCP streams put back together, and deadlines on capture time.

pub(crate) mod index;
pub mod pool;
pub mod stream;
pub mod table;
pub mod timer;
