//! Keys that endpoints wrote down, and what they open.
//!
//! A key log (`SSLKEYLOGFILE`, RFC 9850) names each secret by the random of the ClientHello. [`KeyLog`] remembers them
//! within a bound, [`Keys`] is the handle that all who read share, [`tls13`] and [`tls12`] open records. No secret is
//! printed, and each is wiped once nobody has it.

pub mod aead;
mod log;
pub mod tls12;
pub mod tls13;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroize as _;

pub use self::log::{Counts, KeyLog, Secrets};
use crate::base::PacketNo;

/// A secret of up to 64 bytes. Wiped when it goes; prints its length alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    bytes: [u8; Self::MOST],
    len: u8,
}

impl Secret {
    /// The longest: a SHA-512 hash.
    pub const MOST: usize = 64;

    /// Takes a copy. `None`: it is empty or too long.
    pub fn new(secret: &[u8]) -> Option<Self> {
        let mut taken = Self { bytes: [0; Self::MOST], len: u8::try_from(secret.len()).ok()? };
        taken.bytes.get_mut(..secret.len())?.copy_from_slice(secret);
        (!secret.is_empty()).then_some(taken)
    }

    /// The secret itself: for the ciphers only.
    pub fn expose(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len)
    }
}

/// A key log that many read and few write. Cheap to clone: clones share it.
#[derive(Clone, Debug)]
pub struct Keys(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Packet behind which the first secret was known; all ones while there is none.
    since: AtomicU64,
    log: RwLock<KeyLog>,
}

impl Default for Keys {
    fn default() -> Self {
        Self(Arc::new(Shared { since: AtomicU64::new(u64::MAX), log: RwLock::default() }))
    }
}

impl Keys {
    /// Secrets are to be awaited from the first packet on, though none may be known yet: a key log that grows.
    pub fn will_come(&self) {
        self.0.since.store(0, Ordering::Release);
    }

    /// Adds whole lines of a key log that came beside the capture. What it held.
    pub fn add(&self, text: &[u8]) -> Counts {
        self.add_behind(text, PacketNo(0))
    }

    /// Adds whole lines that stood in the capture behind this packet: they count from there on, so that what is opened
    /// does not depend on how far ahead a reader is.
    pub fn add_behind(&self, text: &[u8], packet: PacketNo) -> Counts {
        let counts = self.0.log.write().unwrap_or_else(PoisonError::into_inner).add(text, packet);
        self.0.since.fetch_min(packet.0, Ordering::AcqRel);
        counts
    }

    /// Another capture begins: what stood in the one before is forgotten, what came beside it is kept.
    pub fn next_capture(&self) {
        let mut log = self.0.log.write().unwrap_or_else(PoisonError::into_inner);
        if log.forget_embedded() {
            let since = if log.is_empty() { u64::MAX } else { 0 };
            self.0.since.store(since, Ordering::Release);
        }
    }

    /// Whether any secret was known, or awaited, before this packet. Costs one load.
    #[inline]
    pub fn are_there(&self, at: PacketNo) -> bool {
        self.0.since.load(Ordering::Acquire) <= at.0
    }

    /// The secrets of the connection with this client random, as known before this packet.
    pub fn find(&self, client_random: &[u8; 32], at: PacketNo) -> Option<Arc<Secrets>> {
        self.0.log.read().unwrap_or_else(PoisonError::into_inner).find_at(client_random, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_its_length_alone() {
        let secret = Secret::new(&[0xab; 48]).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(48 bytes)");
        assert_eq!(secret.expose(), [0xab; 48]);
        assert_eq!((Secret::new(&[]), Secret::new(&[1; 65])), (None, None));
    }

    #[test]
    fn secrets_of_a_capture_count_behind_their_block_and_until_the_next_capture() {
        let keys = Keys::default();
        assert!(!keys.are_there(PacketNo(u64::MAX - 1)));
        let line = format!("CLIENT_RANDOM {} {}\n", "11".repeat(32), "22".repeat(48));
        keys.add_behind(line.as_bytes(), PacketNo(7));
        assert!(!keys.are_there(PacketNo(6)) && keys.are_there(PacketNo(7)));
        let random = [0x11; 32];
        assert!(keys.find(&random, PacketNo(6)).is_none() && keys.find(&random, PacketNo(7)).is_some());
        keys.next_capture();
        assert!(!keys.are_there(PacketNo(9)) && keys.find(&random, PacketNo(9)).is_none());
        keys.add(line.as_bytes());
        keys.next_capture();
        assert!(keys.are_there(PacketNo(0)) && keys.find(&random, PacketNo(0)).is_some());
    }
}
