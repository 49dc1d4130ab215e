//! An allocator that wipes what it gets back.
//!
//! Whoever holds secrets for long cannot reach each copy of them: a library's buffer, a text that grew, a map that was
//! thrown away. What is freed is overwritten here, whoever had it. It costs about what it takes to fill the bytes.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::arch::asm;
use std::ptr;

/// The system's allocator, which wipes memory when it gets it back. For `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct WipingAllocator;

// SAFETY: memory comes from the system's allocator and goes back to it with the same layouts. Growing takes new memory and
// wipes the old one, as `realloc` of this trait does by itself.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller owns all of these bytes and uses them no more.
        unsafe { ptr::write_bytes(memory, 0, layout.size()) };
        // SAFETY: no instruction. It may read the memory as far as the compiler knows, so that the wiping is no store that
        // nobody reads.
        unsafe { asm!("/* {0} */", in(reg) memory, options(nostack, preserves_flags)) };
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_freed_is_wiped_and_what_grows_leaves_nothing_behind() {
        let layout = Layout::from_size_align(4096, 8).unwrap();
        // SAFETY: the test owns the memory; afterwards it reads a page that the allocator has in its hands still, which no
        // other code does, and which stays mapped because so small a piece is not given back.
        unsafe {
            let memory = WipingAllocator.alloc(layout);
            ptr::write_bytes(memory, 7, 4096);
            let grown = WipingAllocator.realloc(memory, layout, 8192);
            assert_eq!((*grown, *grown.add(4095)), (7, 7));
            // The first bytes are the allocator's own by now.
            let left = std::slice::from_raw_parts(memory.add(64), 4096 - 64);
            assert!(memory == grown || !left.contains(&7));
            WipingAllocator.dealloc(grown, Layout::from_size_align(8192, 8).unwrap());
            let left = std::slice::from_raw_parts(grown.add(64), 4096);
            assert!(!left.contains(&7));
        }
    }
}
