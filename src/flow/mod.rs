//! Floor 2: TCP streams put back together, and deadlines on capture time.

pub mod stream;
pub mod timer;
