//! A hint to the CPU.

/// Bytes of a cache line.
const LINE: usize = 64;

/// Asks the CPU to fetch all lines of a value, which will be looked at soon. Any thread; it neither waits nor changes
/// anything.
///
/// ```
/// ironlane_rcu::prefetch(&[0u8; 200]);
/// ```
#[inline]
#[cfg_attr(any(not(target_arch = "x86_64"), miri), allow(unused_variables))]
pub fn prefetch<T>(value: &T) {
    prefetch_first(value, size_of::<T>());
}

/// The same for the first bytes of a value, as many as asked for: where the rest is seldom looked at.
///
/// ```
/// ironlane_rcu::prefetch_first(&[0u8; 200], 64);
/// ```
#[inline]
#[cfg_attr(any(not(target_arch = "x86_64"), miri), allow(unused_variables))]
pub fn prefetch_first<T>(value: &T, bytes: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = std::ptr::from_ref(value).cast::<i8>();
        // The line that it begins in, and each further one that it may lie in.
        let bytes = bytes.min(size_of::<T>());
        let lines = bytes.div_ceil(LINE) + usize::from(align_of::<T>() < LINE);
        for line in 0..lines {
            let at = (line * LINE).min(bytes.saturating_sub(1));
            // SAFETY: a prefetch neither faults nor changes anything; the place is inside of the value.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(at)) };
        }
    }
}
