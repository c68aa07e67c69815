//! A hint to the processor, for memory that will be looked at soon.
//!
//! A table of a million connections fits into no cache: looked up one by one, each packet waits for two lines of memory one
//! after the other. Told some packets ahead, the memory fetches several at once.
#![allow(unsafe_code, reason = "the instruction takes an address; there is no safe way to say it")]

/// Bytes of a line.
const LINE: usize = 64;

/// Has the lines fetched in which `place` lies. Reads nothing and changes nothing.
#[inline]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let begin = std::ptr::from_ref(place).cast::<i8>();
        let mut at = 0;
        while at < size_of::<T>() {
            // SAFETY: a hint; no address is wrong for it, and this is the value's own.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(begin.wrapping_add(at)) };
            // The last byte may lie in one line more.
            let last = size_of::<T>() - 1;
            at = if at < last { (at + LINE).min(last) } else { size_of::<T>() };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_fetched_ahead_is_as_it_was() {
        let line = [7_u64; 8];
        super::prefetch(&line);
        super::prefetch(&());
        assert_eq!(line, [7; 8]);
    }
}
