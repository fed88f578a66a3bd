//! How the daemon is.

use ironlane_rib::Family;
use tonic::Status as Refusal;

use super::proto;
use super::state::{State, gone};
use crate::netlink::sysctl::Severity;

/// Version, health and whereabouts.
pub(super) async fn status(state: &State) -> Result<proto::Status, Refusal> {
    let parts = &state.parts;
    let count = |n: usize| n as u64;
    let mirrored = parts.mirror.with(move |mirror| {
        let (rib, status) = (&mirror.rib, mirror.status());
        let mirror = proto::MirrorState {
            synchronised: status.synchronised,
            doing: status.doing,
            resyncs: status.totals.resyncs,
            overruns: status.totals.overruns,
            malformed: status.totals.malformed,
            dumps: status.totals.dumps,
            swept: status.totals.swept,
            commits: status.totals.commits,
            probes: status.totals.probes,
        };
        proto::Status {
            ip4_routes: count(rib.route_count(Family::Ip4)),
            ip6_routes: count(rib.route_count(Family::Ip6)),
            neighbours: count(rib.neighbour_count()),
            mirror: Some(mirror),
            ..proto::Status::default()
        }
    });
    let mirrored = mirrored.await.map_err(gone)?;
    let taps = parts.config.ports.iter().map(|port| port.tap.to_string());
    let findings = parts.mirror.settings(taps.collect()).await.map_err(gone)?;
    let said = |severity| {
        let found = findings.iter().filter(move |f| f.severity == severity);
        found.map(ToString::to_string).collect()
    };
    let dataplane = &parts.dataplane;
    Ok(proto::Status {
        version: env!("CARGO_PKG_VERSION").into(),
        dpdk_version: ironlane_dataplane::eal::version(),
        pid: std::process::id(),
        uptime_s: state.started.elapsed().as_secs(),
        config_file: parts.config_file.display().to_string(),
        netns: parts.config.daemon.netns.clone().unwrap_or_default(),
        hugepages: parts.config.dpdk.hugepages,
        ports: u32::try_from(dataplane.ports().len()).unwrap_or(u32::MAX),
        lcores: u32::try_from(dataplane.lcores().len()).unwrap_or(u32::MAX),
        warnings: said(Severity::Breaks),
        notes: said(Severity::Note),
        ..mirrored
    })
}
