//! Keeps the heap small: what a start and a plan of the whole needed for a moment goes back to the kernel.

/// One arena, and large blocks go back to the kernel when they are freed. Before any other thread exists.
#[cfg(target_env = "gnu")]
pub(crate) fn lean() {
    const LARGE: i32 = 64 * 1024;
    // SAFETY: called once, before any other thread exists; the parameters are documented values.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// Gives back what is free between blocks that are in use. Takes some milliseconds.
#[cfg(target_env = "gnu")]
pub(crate) fn give_back() {
    // SAFETY: malloc_trim(3) is safe to call from any thread at any time, and touches no block that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(target_env = "gnu"))]
pub(crate) fn lean() {}

#[cfg(not(target_env = "gnu"))]
pub(crate) fn give_back() {}
