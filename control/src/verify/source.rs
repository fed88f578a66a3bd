//! What verify needs of the mirror.

use std::time::Duration;

use ironlane_fib::Writer;
use ironlane_rib::Rib;

use crate::netlink::{MirrorHandle, NetlinkError, kernel_rib_held};

/// Time for the mirror to read everything again.
const RESYNC_LIMIT: Duration = Duration::from_secs(60);

/// Why verify could not compare.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The kernel or the mirror does not answer.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// Every place for a reader of the tables is taken.
    #[error("the tables have too many readers to be verified; try again when others are done")]
    Readers,
    /// The mirror did not catch up with the kernel.
    #[error("the mirror was not in step with the kernel after {} s; see: ironlane status", .0.as_secs())]
    NotInStep(Duration),
}

/// The kernel and the mirror, as verify sees them. All calls block.
pub trait Source {
    /// Lists the kernel anew, into a RIB with the ports of the live one.
    ///
    /// # Errors
    /// The kernel does not answer.
    fn kernel(&self) -> Result<Rib, VerifyError>;

    /// Runs `f` where the live RIB and the writer are.
    ///
    /// # Errors
    /// The mirror is not there.
    fn live<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Rib, &mut Writer) -> R + Send + 'static,
    ) -> Result<R, VerifyError>;

    /// Has the mirror list the kernel again, and waits until it is done.
    ///
    /// # Errors
    /// The mirror is not there, or takes too long.
    fn resync(&self) -> Result<(), VerifyError>;
}

impl Source for MirrorHandle {
    fn kernel(&self) -> Result<Rib, VerifyError> {
        // Not by its path, which may lead to another namespace by now, or nowhere.
        let (namespace, vrf, bindings) = self.with_blocking(|state| {
            let bindings = state.rib.bindings().collect();
            (state.namespace(), state.options().vrf, bindings)
        })?;
        Ok(kernel_rib_held(namespace.as_deref(), vrf, bindings)?)
    }

    fn live<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Rib, &mut Writer) -> R + Send + 'static,
    ) -> Result<R, VerifyError> {
        Ok(self.with_blocking(|state| f(&mut state.rib, &mut state.writer))?)
    }

    fn resync(&self) -> Result<(), VerifyError> {
        self.with_blocking(|state| state.resync())?;
        match self.synchronised(RESYNC_LIMIT)? {
            true => Ok(()),
            false => Err(VerifyError::NotInStep(RESYNC_LIMIT)),
        }
    }
}
