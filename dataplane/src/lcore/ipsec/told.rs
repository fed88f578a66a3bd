//! Values that control replaces as a whole while lcores read them.

use std::sync::{Arc, Mutex, PoisonError};

use ironlane_rcu::{Domain, Guard, Published, Retirer};

/// A value that control threads set and lcores read for a burst.
#[derive(Debug)]
pub(crate) struct Told<T> {
    value: Published<T>,
    retirer: Mutex<Retirer>,
}

impl<T: Default + Send + Sync + 'static> Told<T> {
    /// With the value that stands for nothing told.
    pub(crate) fn new(domain: &Arc<Domain>) -> Self {
        Self {
            value: Published::new(domain, Box::default()),
            retirer: Mutex::new(Retirer::new(Arc::clone(domain))),
        }
    }

    /// Control: replaces the value. It waits for no lcore.
    pub(crate) fn set(&self, value: T) {
        let mut retirer = self.retirer.lock().unwrap_or_else(PoisonError::into_inner);
        self.value.swap(Box::new(value), &mut retirer);
        retirer.reclaim();
    }

    /// Lcore: the value, for this burst.
    #[inline]
    pub(crate) fn load<'q>(&'q self, guard: &'q Guard<'_>) -> &'q T {
        self.value.load(guard)
    }
}
