//! A hint to the processor, for memory that will be looked at soon.
//!
//! A table of a million connections fits into no cache: looked up one by one, each packet waits for two lines of memory one
//! after the other. Told some packets ahead, the memory fetches several at once.
#![allow(unsafe_code, reason = "the instruction takes an address; there is no safe way to say it")]

/// Bytes of a line.
const LINE: usize = 64;

/// Whether the last byte of such a value may lie in one line more than its bytes would fill.
const fn may_straddle<T>() -> bool {
    size_of::<T>() > 1 && size_of::<T>() > align_of::<T>() && align_of::<T>() < LINE
}

/// Has the lines fetched in which `place` lies. Reads nothing and changes nothing.
#[inline]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let begin = std::ptr::from_ref(place).cast::<i8>();
        for at in (0..size_of::<T>()).step_by(LINE) {
            // SAFETY: a hint; no address is wrong for it, and this is the value's own.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(begin.wrapping_add(at)) };
        }
        if may_straddle::<T>() {
            // SAFETY: as above.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(begin.wrapping_add(size_of::<T>() - 1)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_value_within_its_alignment_is_asked_for_once() {
        #[expect(dead_code, reason = "asked for its size")]
        #[repr(align(32))]
        struct Half([u64; 3]);
        #[expect(dead_code, reason = "asked for its size")]
        #[repr(align(64))]
        struct Whole([u64; 12]);
        assert!(
            !super::may_straddle::<Half>()
                && !super::may_straddle::<Whole>()
                && !super::may_straddle::<u64>()
        );
        assert!(super::may_straddle::<[u64; 2]>() && super::may_straddle::<[u8; 64]>());
    }

    #[test]
    fn what_is_fetched_ahead_is_as_it_was() {
        let line = [7_u64; 8];
        super::prefetch(&line);
        super::prefetch(&());
        assert_eq!(line, [7; 8]);
    }
}
