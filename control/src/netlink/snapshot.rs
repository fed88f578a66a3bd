//! The kernel's state, asked for anew and without looking at events: what `verify` compares with.

use std::fs::File;
use std::path::Path;
use std::thread;

use ironlane_fib::VrfId;
use ironlane_rib::{IfIndex, ObjectKind, PortBinding, Rib};

use super::NetlinkError;
use super::dump::Dumper;
use super::namespace;

/// Lists everything that the kernel has in the network namespace of this thread, into a RIB that
/// is written nowhere. Blocks for as long as the kernel takes: seconds for a million routes.
///
/// Lists that change while they are read are read again. What changes between two lists cannot be
/// seen: compare twice before believing a difference.
pub fn kernel_rib(
    vrf: VrfId,
    bindings: impl IntoIterator<Item = (IfIndex, PortBinding)>,
) -> Result<Rib, NetlinkError> {
    let mut rib = Rib::new(vrf);
    for (ifindex, binding) in bindings {
        rib.bind_port(ifindex, binding);
    }
    let mut dumper = Dumper::default();
    for kind in ObjectKind::ALL {
        dumper.all(kind, |change| match change {
            Some(change) => rib.apply(change),
            None => rib.sync_begin(kind),
        })?;
        rib.sync_end(kind);
    }
    Ok(rib)
}

/// As [`kernel_rib`], in the network namespace at a path if there is one, on a thread of its own
/// that is waited for.
pub fn kernel_rib_in(
    netns: Option<&Path>,
    vrf: VrfId,
    bindings: Vec<(IfIndex, PortBinding)>,
) -> Result<Rib, NetlinkError> {
    on_a_thread(|| {
        namespace::enter(netns)?;
        kernel_rib(vrf, bindings)
    })
}

/// As [`kernel_rib`], in a network namespace that is held open, if there is one.
pub(crate) fn kernel_rib_held(
    namespace: Option<&File>,
    vrf: VrfId,
    bindings: Vec<(IfIndex, PortBinding)>,
) -> Result<Rib, NetlinkError> {
    on_a_thread(|| {
        if let Some(namespace) = namespace {
            namespace::enter_held(namespace)?;
        }
        kernel_rib(vrf, bindings)
    })
}

fn on_a_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let inside = scope.spawn(work);
        inside
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
