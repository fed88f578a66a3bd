//! A value that is replaced as a whole while it is read.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::primitive::{Arc, AtomicPtr, Ordering};
use crate::{Domain, Guard, Retirer};

/// An atomic pointer to an immutable `T`: readers load it for a burst, a writer swaps it.
///
/// ```
/// use ironlane_rcu::{Domain, Published, Retirer};
///
/// # if ironlane_rcu::primitive::IS_MODEL { return Ok(()); }
/// let domain = Domain::new();
/// let mtu = Published::new(&domain, Box::new(1500));
/// let mut reader = Domain::register(&domain)?;
/// let mut retirer = Retirer::new(domain);
///
/// mtu.swap(Box::new(9000), &mut retirer);
/// assert_eq!(*mtu.load(&reader.read()), 9000);
/// # Ok::<(), ironlane_rcu::Full>(())
/// ```
pub struct Published<T> {
    pointer: AtomicPtr<T>,
    domain: Arc<Domain>,
    /// Owns a `T`, and hands out `&T` to several threads: `Sync` only if `T` is.
    owns: PhantomData<T>,
}

impl<T: Send + Sync + 'static> Published<T> {
    /// Publishes a first value to the readers of `domain`.
    pub fn new(domain: &Arc<Domain>, value: Box<T>) -> Self {
        let pointer = AtomicPtr::new(Box::into_raw(value));
        Self {
            pointer,
            domain: Arc::clone(domain),
            owns: PhantomData,
        }
    }

    /// The value as it is now; valid for the burst. Two loads in one burst may differ.
    ///
    /// # Panics
    /// If the guard is of another domain, which would protect nothing.
    #[inline]
    pub fn load<'q>(&'q self, guard: &'q Guard<'_>) -> &'q T {
        assert!(
            guard.protects(&self.domain),
            "the guard is of another RCU domain"
        );
        // Acquire pairs with the Release in `swap` (rule 1): the value is complete.
        let value = self.pointer.load(Ordering::Acquire);
        // SAFETY: the pointer came from a Box in `new` or `swap`. A value is freed by `Drop`,
        // which needs `self` unborrowed, or through a retirer of this domain (checked in
        // `swap`), which waits until the burst of `guard` (checked above) has ended (rule 4).
        unsafe { &*value }
    }

    /// Publishes `value` and retires the one before. Any thread that has a retirer.
    ///
    /// # Panics
    /// If the retirer is of another domain.
    pub fn swap(&self, value: Box<T>, retirer: &mut Retirer) {
        assert!(
            retirer.serves(&self.domain),
            "the retirer is of another RCU domain"
        );
        // Release pairs with the Acquire in `load` (rule 1); Acquire, since we are to free what
        // another writer may have made.
        let old = self.pointer.swap(Box::into_raw(value), Ordering::AcqRel);
        let old = NonNull::new(old).expect("a published pointer is never null");
        // SAFETY: `old` came from a Box, and after the swap no load can find it any more.
        unsafe { retirer.retire_raw(old) };
    }
}

impl<T> Drop for Published<T> {
    fn drop(&mut self) {
        // Relaxed: `&mut self` was handed to us by means that order all earlier accesses.
        let value = self.pointer.load(Ordering::Relaxed);
        // SAFETY: from a Box, swapped out by nobody; references borrow `self`, so none is left.
        drop(unsafe { Box::from_raw(value) });
    }
}

impl<T> fmt::Debug for Published<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published").finish_non_exhaustive()
    }
}
