//! Following the kernel: the mirror, and what it says of taps and settings.

use std::sync::Arc;
use std::time::Duration;

use ironlane_dataplane::dataplane::Dataplane;
use ironlane_dataplane::lcore::OwnAddresses;
use ironlane_fib::Writer;
use ironlane_rib::{IfIndex, PortBinding};

use super::Face;
use crate::config::Config;
use crate::exception::{TapChange, TapChanges};
use crate::netlink::sysctl::Severity;
use crate::netlink::{Mirror, MirrorOptions, NetlinkError, PortChange};

/// Starts the mirror, tells it which interfaces are ports, and warns of kernel settings that break
/// forwarding.
pub(super) fn mirror(
    config: &Config,
    faces: &[Face],
    writer: Writer,
    changes: TapChanges,
    dataplane: &Arc<Dataplane>,
) -> Result<Mirror, NetlinkError> {
    let options = MirrorOptions {
        netns: config.daemon.netns_path(),
        receive_buffer_bytes: config.mirror.receive_buffer_kib as usize * 1024,
        audit_interval: config.mirror.audit_interval(),
        audit_delay: Duration::from_millis(config.mirror.audit_delay_ms.into()),
        refresh_interval: config.neighbour.refresh_interval(),
        ..MirrorOptions::default()
    };
    let listener = Box::new(move |event: crate::netlink::PortEvent| {
        changes.tell(
            event.port,
            match event.change {
                PortChange::Admin(up) => TapChange::Admin(up),
                PortChange::Mtu(mtu) => TapChange::Mtu(mtu),
                PortChange::Mac(mac) => TapChange::Mac(mac),
                PortChange::Gone => TapChange::Gone,
            },
        );
    });
    let mirror = Mirror::start(options, writer, listener)?;
    let bindings: Vec<_> = faces
        .iter()
        .map(|face| {
            let binding = PortBinding {
                port: face.port,
                mac: face.mac,
                mtu: face.mtu,
            };
            (IfIndex(face.ifindex), binding)
        })
        .collect();
    let taps: Vec<_> = faces.iter().map(|face| face.tap.clone()).collect();
    // Who stops the data plane must be the last to have it.
    let lcores = Arc::downgrade(dataplane);
    let findings = mirror.handle().with_blocking(move |state| {
        for (ifindex, binding) in bindings {
            state.bind_port(ifindex, binding);
        }
        state.listen_own_addresses(Box::new(move |own| {
            if let Some(dataplane) = lcores.upgrade() {
                dataplane.set_own_addresses(OwnAddresses::new(own));
            }
        }));
        crate::netlink::sysctl::Settings::default().findings(taps.iter().map(String::as_str))
    })?;
    for finding in findings {
        match finding.severity {
            Severity::Breaks => tracing::warn!("{finding}"),
            Severity::Note => tracing::info!("{finding}"),
        }
    }
    Ok(mirror)
}
