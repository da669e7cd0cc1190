//! A program without std that uses the core, so that all of it is in the tree.
#![no_std]
#![no_main]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};

use cvm_watch_core::{CvmId, Policy, Timestamp, Watch};

struct NoMemory;

// SAFETY: it never hands out memory.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static MEMORY: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Uses the core as a program would.
pub fn watch() -> Option<Watch> {
    let policy = Policy::builder("running").build().ok()?;
    Some(Watch::new(policy.into(), CvmId::new("my-cvm").ok()?, 1, Timestamp::ZERO))
}
