//! Answers made of counters: drops, punts, lcores, stages, totals.

use std::time::{Duration, Instant};

use ironlane_dataplane::dataplane::{LcoreInfo, PolicerConfig, PortInfo};
use ironlane_dataplane::reason::{PuntReason, StageId};
use ironlane_fib::PortId;

use super::proto;
use super::sample::{Activity, Sample};

/// A port's name; its number for one that is not (any more) there.
pub(super) fn port_name(ports: &[PortInfo], id: PortId) -> String {
    let known = ports.iter().find(|port| port.id == id);
    known.map_or_else(|| format!("port{}", id.0), |port| port.name.clone())
}

/// Drops by port and reason; rows without packets only if `all`.
pub(super) fn drops(
    sample: &Sample,
    ports: &[PortInfo],
    activity: &Activity,
    all: bool,
) -> Vec<proto::Drop> {
    let now = Instant::now();
    let counts = sample
        .drops(ports)
        .into_iter()
        .filter(|d| all || d.packets > 0);
    counts
        .map(|d| proto::Drop {
            port: port_name(ports, d.port),
            reason: d.reason.into(),
            stage: d.stage.into(),
            packets: d.packets,
            last_seen_ms: activity.drop_age_ms(d.port, d.reason, now),
            meaning: d.meaning.into(),
        })
        .collect()
}

/// Punts by reason; rows without packets only if `all`.
pub(super) fn punts(
    sample: &Sample,
    ports: &[PortInfo],
    activity: &Activity,
    policer: impl Fn(PuntReason) -> PolicerConfig,
    all: bool,
) -> Vec<proto::Punt> {
    let now = Instant::now();
    let turns = sample.lcores.turns();
    let by_port: Vec<_> = ports
        .iter()
        .map(|p| (&p.name, sample.lcores.port(p.id)))
        .collect();
    let rows = PuntReason::ALL.iter().map(|&reason| {
        let i = reason.index();
        let at = by_port.iter().map(|(name, counts)| proto::PuntPort {
            port: (*name).clone(),
            packets: counts.punts[i],
        });
        let at: Vec<_> = at.filter(|p| p.packets > 0).collect();
        proto::Punt {
            reason: reason.name().into(),
            priority: reason.priority().name().into(),
            packets: at.iter().map(|p| p.packets).sum(),
            ports: at,
            policed: turns.policed[i],
            ring_full: turns.ring_full[i],
            rate_pps: policer(reason).rate_pps,
            last_seen_ms: activity.punt_age_ms(reason, now),
            meaning: reason.help().into(),
        }
    });
    rows.filter(|p| all || p.packets + p.policed + p.ring_full > 0)
        .collect()
}

/// Forwarding threads; `elapsed` is the time that the sample counts over.
pub(super) fn lcores(
    sample: &Sample,
    infos: &[LcoreInfo],
    ports: &[PortInfo],
    elapsed: Duration,
) -> Vec<proto::Lcore> {
    let pairs = infos.iter().zip(&sample.lcores.lcores);
    pairs
        .map(|(info, counts)| {
            let identity = counts.identity();
            let turns = &counts.turns;
            let asleep = (turns.sleep_ns as f64 / elapsed.as_nanos().max(1) as f64).min(1.0);
            let cycles = (turns.busy_cycles + turns.idle_cycles).max(1) as f64;
            let busy = (1.0 - asleep) * turns.busy_cycles as f64 / cycles;
            let named = |queues: &[(PortId, u16)]| {
                let name = |(port, q): &(PortId, u16)| format!("{}:{q}", port_name(ports, *port));
                queues.iter().map(name).collect()
            };
            let sleeps = info.longest_sleep.is_some();
            proto::Lcore {
                cpu: u32::try_from(info.cpu).unwrap_or(u32::MAX),
                state: if counts.running { "running" } else { "stopped" }.into(),
                rx_queues: named(&info.rx_queues),
                rx_packets: identity.rx,
                injected_packets: identity.injected,
                handoff_in_packets: identity.handoff_in,
                tx_packets: identity.tx,
                dropped_packets: identity.dropped,
                punted_packets: identity.punted,
                handoff_out_packets: identity.handoff_out,
                made_packets: identity.made,
                joined_packets: identity.joined,
                held_packets: identity.held,
                iterations: turns.iterations,
                busy_iterations: turns.busy_iterations,
                sleeps: turns.sleeps,
                wakes: turns.wakes,
                device_wakes: turns.device_wakes,
                busy_percent: 100.0 * busy,
                sleep_percent: 100.0 * asleep,
                idle_mode: if sleeps { "sleep" } else { "poll" }.into(),
                waking_queues: named(&info.waking_queues),
                longest_sleep_us: info
                    .longest_sleep
                    .map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
            }
        })
        .collect()
}

/// Stages in the order in which packets meet them.
pub(super) fn stages(sample: &Sample) -> Vec<proto::Stage> {
    let per = |a: u64, b: u64| if b == 0 { 0.0 } else { a as f64 / b as f64 };
    let stages = StageId::ALL.iter().map(|&stage| {
        let counts = sample.lcores.stage(stage);
        proto::Stage {
            name: stage.name().into(),
            packets: counts.packets,
            bursts: counts.bursts,
            cycles: counts.cycles,
            packets_per_burst: per(counts.packets, counts.bursts),
            cycles_per_packet: per(counts.cycles, counts.packets),
            meaning: stage.help().into(),
        }
    });
    stages.collect()
}

/// Totals; `elapsed` is the time that the sample counts over.
pub(super) fn stats(sample: &Sample, elapsed: Duration) -> proto::Stats {
    let sum = sample.lcores.ports();
    let (taps, rings) = (&sample.exception, sample.lcores.rings);
    proto::Stats {
        rx_packets: sum.rx_packets,
        rx_bytes: sum.rx_bytes,
        injected_packets: sum.injected_packets,
        tx_packets: sum.tx_packets,
        tx_bytes: sum.tx_bytes,
        dropped_packets: sum.drops.iter().sum(),
        punted_packets: sum.punts.iter().sum(),
        made_packets: sum.made,
        joined_packets: sum.joined,
        held_packets: i64::try_from(rings.handoff + sample.lcores.fragments_held())
            .unwrap_or(i64::MAX),
        // The counts of an lcore that did not answer in time may be of the middle of a burst.
        identity_holds: sample
            .lcores
            .lcores
            .iter()
            .all(|lcore| !lcore.exact || lcore.identity().holds()),
        punt_ring_packets: rings.punt,
        inject_ring_packets: rings.inject,
        tap_delivered_packets: taps.iter().flat_map(|t| t.delivered).sum(),
        tap_read_packets: taps.iter().map(|t| t.read).sum(),
        tap_dropped_packets: taps
            .iter()
            .flat_map(|t| t.dropped.into_iter().chain(t.inject_dropped))
            .sum(),
        since_s: elapsed.as_secs(),
    }
}

/// Counters of one port. Of an IPsec interface packets are those that its SAs open and seal.
pub(super) fn port(sample: &Sample, id: PortId) -> proto::PortCounters {
    let counts = sample.lcores.port(id);
    proto::PortCounters {
        rx_packets: counts.rx_packets + counts.opened_packets,
        rx_bytes: counts.rx_bytes + counts.opened_bytes,
        tx_packets: counts.tx_packets + counts.sealed_packets,
        tx_bytes: counts.tx_bytes + counts.sealed_bytes,
        injected_packets: counts.injected_packets,
        punted_packets: counts.punts.iter().sum(),
        dropped_packets: counts.drops.iter().sum(),
    }
}

#[cfg(test)]
mod tests;
