//! mimalloc, asked in its short way.
//!
//! Its crate asks for every block with its alignment, and mimalloc then makes each one larger and moves the block's
//! start within it, unless the size is a power of two or the page happens to have a block at hand. What it gives
//! unasked is aligned to 16 bytes already, which is more than nearly everything needs. The slabs of the tables need more:
//! they are whole memory pages, for which it is to be asked for the alignment of a page, or it makes them a quarter larger.
#![allow(unsafe_code, reason = "an allocator hands out memory; there is no safe way to say it")]

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc, mi_zalloc_aligned,
};

/// The program's allocator.
pub struct Mimalloc;

/// Alignment of every block that is at least as large (`MI_MAX_ALIGN_SIZE`, `mimalloc/types.h`).
const ALIGNED: usize = 16;

/// Alignment of every block whose size is a multiple of it (`MI_PAGE_OSPAGE_BLOCK_ALIGN2`, the same), which it knows where it
/// is asked for just this.
const PAGE: usize = 4_096;

/// Whether a block of this size comes aligned without being asked to.
fn is_aligned_anyway(size: usize, align: usize) -> bool {
    align <= ALIGNED && align <= size
}

/// What to ask for where this alignment is needed.
fn asked(size: usize, align: usize) -> usize {
    if align < PAGE && size.is_multiple_of(PAGE) { PAGE } else { align }
}

// SAFETY: what mimalloc gives is a block of at least the size, aligned as asked or, by `is_aligned_anyway`, unasked; it
// is null where there is none, and each of these may be given back or resized by any of the others.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: takes any size, and any power of two as alignment.
        unsafe {
            if is_aligned_anyway(size, align) {
                mi_malloc(size)
            } else {
                mi_malloc_aligned(size, asked(size, align))
            }
            .cast()
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: as for `alloc`.
        unsafe {
            if is_aligned_anyway(size, align) {
                mi_zalloc(size)
            } else {
                mi_zalloc_aligned(size, asked(size, align))
            }
            .cast()
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller's block came from here.
        unsafe { mi_free(block.cast()) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let align = layout.align();
        // SAFETY: the caller's block came from here; sizes and alignments as for `alloc`.
        unsafe {
            if is_aligned_anyway(size, align) {
                mi_realloc(block.cast(), size)
            } else {
                mi_realloc_aligned(block.cast(), size, asked(size, align))
            }
            .cast()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a block of this layout holds what is written into it, keeps it when it grows and shrinks, and is
    /// aligned and zeroed all the while.
    fn serves(layout: Layout, other: usize) -> bool {
        let is_aligned = |block: *mut u8| !block.is_null() && block.addr().is_multiple_of(layout.align());
        // SAFETY: each block is used within its size, and given back once with the layout that it has.
        unsafe {
            let zeroed = Mimalloc.alloc_zeroed(layout);
            let mut good = is_aligned(zeroed)
                && std::slice::from_raw_parts(zeroed, layout.size()).iter().all(|&b| b == 0);
            let block = Mimalloc.alloc(layout);
            good &= is_aligned(block);
            block.write_bytes(7, layout.size());
            let moved = Mimalloc.realloc(block, layout, other);
            good &= is_aligned(moved);
            let kept = std::slice::from_raw_parts(moved, layout.size().min(other));
            good &= kept.iter().all(|&byte| byte == 7);
            moved.write_bytes(8, other);
            good &= std::slice::from_raw_parts(zeroed, layout.size()).iter().all(|&b| b == 0);
            Mimalloc.dealloc(zeroed, layout);
            Mimalloc.dealloc(moved, Layout::from_size_align_unchecked(other, layout.align()));
            good
        }
    }

    #[test]
    fn every_block_is_aligned_and_holds_its_bytes() {
        for align in (0..=13).map(|power| 1 << power) {
            for size in [
                1, 7, 8, 9, 15, 16, 17, 24, 56, 100, 1_000, 1_024, 1_025, 5_000, 8_192, 70_000, 131_072,
                300_001,
            ] {
                for other in [1, 8, 24, 40, 900, 3_001, 65_536, 120_000] {
                    let layout = Layout::from_size_align(size, align).unwrap();
                    assert!(serves(layout, other), "{size} bytes aligned to {align}, then {other}");
                }
            }
        }
    }
}
