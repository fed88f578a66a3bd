//! Frames through the real lcore while routes change: each that comes out must have gone by a nexthop
//! that its destination had at some time since the frame was sent, and each must come out.
//!
//! One thread changes routes, sends, and compares. So it knows which update was the last when a frame
//! was sent, which the frame carries, and which when it came back; what happens between is the
//! lcore's alone.

use std::time::{Duration, Instant};

use ironlane_dataplane::eal::{MbufBatch, Memory};
use ironlane_fib::PortId;
use serde::Serialize;

use super::history::{History, histories};
use super::{Failure, RoutesArgs, Update, apply, slots};
use crate::frames;
use crate::generator::{RingPorts, addressed};
use crate::numbers::Numbers;
use crate::oracle::{SINK_MAC, nexthop_mac};
use crate::router::{Router, Setup};
use crate::table::Route;

/// Destinations.
const WATCHED: usize = 8192;
/// Frames that are sent at once.
const BURST: usize = 16;
/// Where a frame has the number of its destination (4 bytes) and of the last update (8 bytes).
const MARK: usize = 42;
/// Bytes of a frame, without FCS.
const SIZE: usize = 64;
/// How long a frame may be under way when no more are sent.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Serialize)]
struct Line {
    what: &'static str,
    /// Updates that were applied, those that changed something, and updates a second.
    updates: usize,
    changes: usize,
    updates_per_second: f64,
    /// Destinations.
    watched: usize,
    sent: u64,
    /// Frames that found no room on the way to the router: never sent.
    refused: u64,
    /// Frames that did not come out.
    lost: u64,
    /// Milliseconds in which as many are sent.
    blocked_ms: f64,
    /// Frames by a nexthop that was not right at any time meanwhile.
    wrong: u64,
    /// Frames whose nexthop changed while they were under way.
    crossed: u64,
    mpps: f64,
}

impl RoutesArgs {
    /// Watches.
    ///
    /// # Errors
    /// What the router answers; a frame by a wrong nexthop.
    pub(super) fn watched(&self, routes: &[Route], updates: &[Update]) -> Result<(), Failure> {
        let most = (self.seconds * self.rate) as usize;
        let updates = &updates[..updates.len().min(most)];
        let (addresses, histories) = destinations(routes, updates)?;
        let memory = Memory::Hugepages { mib: None };
        let mut ports = RingPorts::create(Router::eal(memory)?)?;
        let mut router = Router::start(&Setup {
            cpus: vec![self.cpu],
            sources: vec![ports.source().to_owned()],
            sink: ports.sink().to_owned(),
            held: 0,
            memory,
            other_vrfs: 0,
            routes: routes.to_vec(),
        })?;
        let mut writer = router.take_writer().ok_or("the writer is gone")?;
        let slots = slots(&mut writer, routes, updates, PortId(1))?;
        let made = addresses
            .iter()
            .map(|&to| frames::udp(false, to.into(), SIZE));
        let made = addressed(made.collect::<Result<_, _>>()?, &router);

        let (to, from, pool) = ports.ends();
        let (mut out, mut back) = (MbufBatch::new(), MbufBatch::new());
        let (mut applied, mut changes) = (0, 0);
        let (mut sent, mut refused, mut received) = (0_u64, 0_u64, 0_u64);
        let (mut wrong, mut crossed, mut next) = (0, 0, 0);
        let begin = Instant::now();
        let mut changed = Duration::ZERO;
        while applied < updates.len() || received < sent {
            let passed = begin.elapsed();
            let due = ((passed.as_secs_f64() * self.rate) as usize).min(updates.len());
            // Few at a time, so that frames are sent and taken between them.
            for &update in &updates[applied..due.min(applied + 8)] {
                changes += usize::from(apply(&mut writer, &slots, update)?);
                applied += 1;
                changed = passed;
            }
            let due = (passed.as_secs_f64() * self.pps) as u64;
            let sending = applied < updates.len();
            if sending && sent + refused + BURST as u64 <= due && pool.alloc(&mut out, BURST) {
                for mbuf in out.as_mut_slice() {
                    let frame = &made[next];
                    let bytes = mbuf.append(frame.len()).expect("a frame fits a buffer");
                    bytes.copy_from_slice(frame);
                    bytes[MARK..MARK + 4].copy_from_slice(&(next as u32).to_le_bytes());
                    bytes[MARK + 4..MARK + 12].copy_from_slice(&(applied as u64).to_le_bytes());
                    next = (next + 1) % made.len();
                }
                sent += to.enqueue(&mut out) as u64;
                refused += out.len() as u64;
                out.free();
            }
            received += from.dequeue(&mut back) as u64;
            for mbuf in back.as_slice() {
                let (was_wrong, had_crossed) = judge(mbuf.data(), &histories, applied as u64)?;
                wrong += u64::from(was_wrong);
                crossed += u64::from(had_crossed);
            }
            back.free();
            if !sending && passed > changed + PATIENCE {
                break;
            }
        }
        router.stop()?;
        let seconds = changed.as_secs_f64();
        let pps = sent as f64 / seconds;
        let lost = sent - received;
        let line = Line {
            what: "watch",
            updates: applied,
            changes,
            updates_per_second: applied as f64 / seconds,
            watched: addresses.len(),
            sent,
            refused,
            lost,
            blocked_ms: lost as f64 / pps * 1e3,
            wrong,
            crossed,
            mpps: pps / 1e6,
        };
        println!("{}", serde_json::to_string(&line)?);
        match wrong {
            0 => Ok(()),
            _ => Err(format!("{wrong} frames left by a nexthop that was never right").into()),
        }
    }
}

/// IPv4 addresses in prefixes that change, which have a route all the time, and their histories.
fn destinations(routes: &[Route], updates: &[Update]) -> Result<(Vec<u32>, Vec<History>), Failure> {
    let mut numbers = Numbers(3);
    let step = (updates.len() / WATCHED).max(1);
    let chosen = updates.iter().step_by(step).map(|update| update.prefix);
    let chosen = chosen.filter(|&prefix| !prefix.ip6 && frames::is_forwarded(prefix));
    let mut addresses: Vec<u32> = chosen.map(|p| p.address(&mut numbers) as u32).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let all = histories(routes, updates, &addresses);
    let whole = addresses.into_iter().zip(all);
    let (addresses, all): (Vec<_>, Vec<_>) = whole.filter(|(_, one)| one.is_whole()).unzip();
    if addresses.is_empty() {
        return Err("no destination of an update has a route all the time".into());
    }
    Ok((addresses, all))
}

/// Whether a frame went by a nexthop that was never right while it was under way, the last update
/// being this one, and whether its nexthop changed meanwhile.
fn judge(frame: &[u8], histories: &[History], last: u64) -> Result<(bool, bool), Failure> {
    let mark = frame.get(MARK..MARK + 12).ok_or("a frame came out short")?;
    let (number, first) = mark.split_at(4);
    let number = u32::from_le_bytes(number.try_into()?) as usize;
    let first = u64::from_le_bytes(first.try_into()?);
    let history = histories.get(number).ok_or("a frame came out broken")?;
    let mac = &frame[..6];
    let nexthop = u32::from_be_bytes(mac[2..].try_into()?);
    let ours = *mac == nexthop_mac(nexthop) && frame[6..12] == SINK_MAC;
    let right = ours && history.had(first, last, Some(nexthop));
    Ok((!right, history.answers(first, last) > 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_by_a_nexthop_of_another_time_is_wrong() {
        let net: ipnet::IpNet = "10.0.0.0/8".parse().unwrap();
        let prefix = net.into();
        let route = Route { prefix, nexthop: 1 };
        let update = |nexthop| Update {
            prefix,
            nexthop: Some(nexthop),
        };
        let all = histories(&[route], &[update(2), update(3)], &[0x0a00_0001]);
        let frame = |nexthop, first: u64| {
            let mut frame = frames::udp(false, 0x0a00_0001, SIZE).unwrap();
            frame[..6].copy_from_slice(&nexthop_mac(nexthop));
            frame[6..12].copy_from_slice(&SINK_MAC);
            frame[MARK..MARK + 4].fill(0);
            frame[MARK + 4..MARK + 12].copy_from_slice(&first.to_le_bytes());
            frame
        };
        let judge = |frame: Vec<u8>, last| judge(&frame, &all, last).unwrap();
        assert_eq!(judge(frame(1, 0), 0), (false, false));
        assert_eq!(judge(frame(1, 0), 1), (false, true));
        assert_eq!(judge(frame(2, 0), 1), (false, true));
        assert_eq!(judge(frame(1, 1), 1), (true, false), "too old");
        assert_eq!(judge(frame(3, 0), 1), (true, true), "too young");
        let mut alien = frame(1, 0);
        alien[0] = 0xee;
        assert_eq!(judge(alien, 0), (true, false), "nobody's MAC");
    }
}
