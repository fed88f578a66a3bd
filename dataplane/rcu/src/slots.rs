//! A table of values, each of them there or not, each replaced as a whole while it is read.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::primitive::{self, AtomicPtr, Ordering};
use crate::{Domain, Guard, Retirer};

/// A fixed number of slots that hold a `T` or nothing: what [`Published`](crate::Published) is for
/// one value, for as many as there are indexes. An empty slot costs a word. Values are shared, so that
/// a writer may keep what it has published without a copy.
///
/// ```
/// use std::sync::Arc;
///
/// use ironlane_rcu::{Domain, Retirer, Slots};
///
/// # if ironlane_rcu::primitive::IS_MODEL { return Ok(()); }
/// let domain = Domain::new();
/// let names = Slots::new(&domain, 4);
/// let mut reader = Domain::register(&domain)?;
/// let mut retirer = Retirer::new(domain);
///
/// names.set(2, Some(Arc::new("two")), &mut retirer);
/// let burst = reader.read();
/// assert_eq!(names.get(&burst, 2), Some(&"two"));
/// assert_eq!((names.get(&burst, 0), names.get(&burst, 9)), (None, None));
/// # Ok::<(), ironlane_rcu::Full>(())
/// ```
pub struct Slots<T> {
    slots: Box<[AtomicPtr<T>]>,
    domain: primitive::Arc<Domain>,
    /// Owns `T`s, and hands out `&T` to several threads: `Sync` only if `T` is.
    owns: PhantomData<Arc<T>>,
}

impl<T: Send + Sync + 'static> Slots<T> {
    /// `len` empty slots for the readers of `domain`.
    pub fn new(domain: &primitive::Arc<Domain>, len: usize) -> Self {
        Self {
            slots: (0..len)
                .map(|_| AtomicPtr::new(std::ptr::null_mut()))
                .collect(),
            domain: primitive::Arc::clone(domain),
            owns: PhantomData,
        }
    }

    /// How many slots there are, empty ones included.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// What the slot holds now; valid for the burst. `None` for an empty slot and for an index
    /// beyond the last.
    ///
    /// # Panics
    /// If the guard is of another domain, which would protect nothing.
    #[inline]
    pub fn get<'q>(&'q self, guard: &'q Guard<'_>, index: usize) -> Option<&'q T> {
        assert!(
            guard.protects(&self.domain),
            "the guard is of another RCU domain"
        );
        // Acquire pairs with the Release in `set` (rule 1): the value is complete.
        let value = self.slots.get(index)?.load(Ordering::Acquire);
        // SAFETY: null, or from an Arc in `set`. A value is freed by `Drop`, which needs `self`
        // unborrowed, or through a retirer of this domain (checked in `set`), which waits until
        // the burst of `guard` (checked above) has ended (rule 4).
        unsafe { value.as_ref() }
    }

    /// Asks the CPU for the slot of an index, which will be looked at soon; what it holds is not asked for.
    #[inline]
    pub fn prefetch(&self, index: usize) {
        if let Some(slot) = self.slots.get(index) {
            crate::prefetch(slot);
        }
    }

    /// Puts `value` in the slot, or empties it, and lets go of what was there after a grace period. Any thread
    /// that has a retirer.
    ///
    /// # Panics
    /// If the retirer is of another domain, or there is no such slot.
    pub fn set(&self, index: usize, value: Option<Arc<T>>, retirer: &mut Retirer) {
        assert!(
            retirer.serves(&self.domain),
            "the retirer is of another RCU domain"
        );
        let value = value.map_or(std::ptr::null_mut(), |value| {
            Arc::into_raw(value).cast_mut()
        });
        // Release pairs with the Acquire in `get` (rule 1); Acquire, since we are to let go of what
        // another writer may have made.
        let old = self.slots[index].swap(value, Ordering::AcqRel);
        if !old.is_null() {
            // SAFETY: from `Arc::into_raw` in `set`, and after the swap no load can find it any more.
            let old = unsafe { Arc::from_raw(old) };
            retirer.defer(size_of::<T>(), move || drop(old));
        }
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        for slot in &self.slots {
            // Relaxed: `&mut self` was handed to us by means that order all earlier accesses.
            let value = slot.load(Ordering::Relaxed);
            if !value.is_null() {
                // SAFETY: from `Arc::into_raw` in `set`, swapped out by nobody; references borrow `self`, so
                // none is left.
                drop(unsafe { Arc::from_raw(value) });
            }
        }
    }
}

impl<T> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots")
            .field("capacity", &self.slots.len())
            .finish()
    }
}
