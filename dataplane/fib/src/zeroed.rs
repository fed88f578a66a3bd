//! Big arrays of empty atomics, in memory that the system provides when it is touched first: a
//! table that is mostly empty costs address space only.
#![allow(unsafe_code)] // zeroed memory becomes a slice of atomics

use ironlane_rcu::primitive::{AtomicPtr, AtomicU32, AtomicU64};

/// A type whose empty value is all zeros.
///
/// # Safety
/// Without loom, zeroed memory must be a valid value, and the empty one.
pub(crate) unsafe trait Zeroed: Sized {
    /// The empty value, where loom needs more than zeros.
    #[cfg(loom)]
    fn empty() -> Self;
}

// SAFETY: an AtomicU32 has the size and bit validity of a u32.
unsafe impl Zeroed for AtomicU32 {
    #[cfg(loom)]
    fn empty() -> Self {
        Self::new(0)
    }
}

// SAFETY: as of an AtomicU32.
unsafe impl Zeroed for AtomicU64 {
    #[cfg(loom)]
    fn empty() -> Self {
        Self::new(0)
    }
}

// SAFETY: an AtomicPtr has the size and bit validity of a pointer, and zeros are null.
unsafe impl<T> Zeroed for AtomicPtr<T> {
    #[cfg(loom)]
    fn empty() -> Self {
        Self::new(std::ptr::null_mut())
    }
}

/// `len` empty values.
#[cfg(not(loom))]
pub(crate) fn zeroed_slice<T: Zeroed>(len: usize) -> Box<[T]> {
    use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};

    let layout = Layout::array::<T>(len).expect("a table fits the address space");
    assert!(layout.size() > 0, "a table has slots");
    // SAFETY: the layout has a size above 0.
    let pointer = unsafe { alloc_zeroed(layout) }.cast::<T>();
    if pointer.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: allocated by the global allocator with the layout of this slice, and all its
    // elements are valid by the contract of `Zeroed`.
    unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(pointer, len)) }
}

/// `len` empty values.
#[cfg(loom)]
pub(crate) fn zeroed_slice<T: Zeroed>(len: usize) -> Box<[T]> {
    (0..len).map(|_| T::empty()).collect()
}
