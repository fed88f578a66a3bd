//! SAs that are replaced under load, as IKE does: the new pair is there and in use before the old one is
//! deleted. Nothing is lost, nothing comes twice, all comes in order, and no counter of drops moves.
//!
//! Both sites are one data plane: VRF 0 seals, what it sends is received by VRF 7, which opens.
//!
//! `IRONLANE_REKEY_LOAD_SECONDS=30` measures the full load first, and then runs that long at a fifth of it.

use std::time::{Duration, Instant};

use ironlane_fib::VrfId;
use ironlane_ipsec::{Direction, PolicyDirection, PolicyId, PolicySpec, SaId, SaSpec, Selector};
use ironlane_tests::{Settings, Stream, WholeDp};

use crate::ipsec::{PROTECT, sa};

/// Packets that are under way at most: half of a ring, so that no queue is ever full.
const UNDER_WAY: u64 = 512;
/// Where the number of a packet stands in it: behind Ethernet, IPv4 and UDP.
const NUMBER_AT: usize = 42;
const FAR_SIDE: VrfId = VrfId(7);
const LAN: &str = "lan";
const WAN: &str = "wan";
const FAR_WAN: &str = "wan7";
const FAR_LAN: &str = "lan7";

/// Both sites, with the policies of the tunnel.
fn two_sites() -> (WholeDp, PolicyId) {
    let mut dp = WholeDp::with(Settings {
        ipsec: true,
        ..Settings::default()
    })
    .port(LAN, "10.1.0.1/16")
    .port(WAN, "192.0.2.1/24")
    .port(FAR_WAN, "192.0.2.2/24")
    .vrf(FAR_SIDE.0)
    .port(FAR_LAN, "10.2.0.1/16")
    .vrf(FAR_SIDE.0);
    let far_wan = dp.mac(FAR_WAN);
    dp.neighbour(&format!("192.0.2.2 dev {WAN} lladdr {far_wan}"))
        .neighbour(&format!("10.2.0.9 dev {FAR_LAN} lladdr 02::9"));
    let net = |text: &str| text.parse().unwrap();
    let selector = Selector::between(net("10.1.0.0/16"), net("10.2.0.0/16"));
    let rule = PolicySpec::new(PolicyDirection::Out, selector.clone(), PROTECT);
    let out = dp.ipsec().add_policy(rule).unwrap();
    let mut rule = PolicySpec::new(PolicyDirection::Fwd, selector, PROTECT);
    rule.vrf = FAR_SIDE;
    dp.ipsec().add_policy(rule).unwrap();
    (dp, out)
}

/// What IKE does to SAs.
struct Keys {
    policy: PolicyId,
    next_spi: u32,
    /// Pairs that there are, oldest first.
    pairs: Vec<[SaId; 2]>,
}

impl Keys {
    /// Installs a new pair, the inbound one first, sends by it, and deletes all but the last two.
    fn rekey(&mut self, stream: &mut Stream<'_>) {
        let ipsec = stream.ipsec();
        let spec = |direction, vrf| SaSpec {
            spi: self.next_spi,
            src: "192.0.2.1".parse().unwrap(),
            dst: "192.0.2.2".parse().unwrap(),
            vrf,
            ..sa(direction)
        };
        let inbound = ipsec.add_sa(spec(Direction::In, FAR_SIDE)).unwrap();
        let outbound = ipsec.add_sa(spec(Direction::Out, VrfId::DEFAULT)).unwrap();
        ipsec.bind(self.policy, Some(outbound)).unwrap();
        self.next_spi += 1;
        self.pairs.push([inbound, outbound]);
        if self.pairs.len() > 2 {
            for id in self.pairs.remove(0) {
                ipsec.del_sa(id).unwrap();
            }
        }
        ipsec.reclaim();
    }
}

/// How a flow runs.
struct Pace {
    /// Packets in all.
    packets: u64,
    /// Packets from one rekey to the next; none if 0.
    rekey_every: u64,
    /// Packets a second; as fast as they go if 0.
    rate: f64,
}

/// Has a flow pass; how often SAs were replaced, and how long it took.
fn flow(dp: &mut WholeDp, keys: &mut Keys, pace: &Pace) -> (u32, Duration) {
    let frame = dp.frame(LAN).ip4("10.1.0.9", "10.2.0.9");
    let frame = frame.data_len(200).udp(4000, 5000);
    let mut stream = dp.stream();
    let before = stream.dataplane().counters().snapshot_at_rest();
    let (mut sent, mut arrived, mut rekeys) = (0_u64, 0_u64, 0);
    let start = Instant::now();
    let mut moved_at = start;
    while arrived < pace.packets {
        let due = match pace.rate {
            0.0 => pace.packets,
            rate => pace
                .packets
                .min((start.elapsed().as_secs_f64() * rate) as u64),
        };
        let more = due.min(arrived + UNDER_WAY).saturating_sub(sent);
        stream.offer(LAN, more as usize, &frame, |bytes| {
            bytes[NUMBER_AT..NUMBER_AT + 8].copy_from_slice(&sent.to_be_bytes());
            sent += 1;
        });
        stream.carry(WAN, FAR_WAN);
        let moved = stream.take(FAR_LAN, |bytes| {
            let number = bytes[NUMBER_AT..].first_chunk().unwrap();
            assert_eq!(u64::from_be_bytes(*number), arrived, "all, once, in order");
            arrived += 1;
        });
        if moved > 0 {
            moved_at = Instant::now();
        }
        assert!(
            moved_at.elapsed() < Duration::from_secs(20),
            "{arrived} of {sent} arrived, {rekeys} rekeys"
        );
        if pace.rekey_every > 0 && sent / pace.rekey_every > u64::from(rekeys) {
            keys.rekey(&mut stream);
            rekeys += 1;
        }
    }
    let took = start.elapsed();
    let counts = stream.dataplane().counters().snapshot_at_rest();
    let counts = counts.since(&before).ports();
    assert_eq!(counts.rx_packets, 2 * pace.packets, "by both sites");
    assert_eq!(counts.tx_packets, 2 * pace.packets);
    assert!(counts.drops.iter().all(|&drops| drops == 0), "{counts:?}");
    assert!(counts.punts.iter().all(|&punts| punts == 0), "{counts:?}");
    (rekeys, took)
}

fn keys(dp: &mut WholeDp, policy: PolicyId) -> Keys {
    let mut keys = Keys {
        policy,
        next_spi: 0x1000,
        pairs: Vec::new(),
    };
    keys.rekey(&mut dp.stream());
    keys
}

#[test]
pub fn sas_are_replaced_under_load_and_nothing_is_lost() {
    let (mut dp, policy) = two_sites();
    let mut keys = keys(&mut dp, policy);
    let pace = Pace {
        packets: 60_000,
        rekey_every: UNDER_WAY,
        rate: 0.0,
    };
    let (rekeys, _) = flow(&mut dp, &mut keys, &pace);
    assert!(rekeys >= 110, "{rekeys}");
    let Some(seconds) = std::env::var("IRONLANE_REKEY_LOAD_SECONDS").ok() else {
        return;
    };
    let seconds: f64 = seconds.parse().expect("a number of seconds");
    let full = Pace {
        packets: 2_000_000,
        rekey_every: 0,
        rate: 0.0,
    };
    let (_, took) = flow(&mut dp, &mut keys, &full);
    let rate = full.packets as f64 / took.as_secs_f64() / 5.0;
    println!(
        "full load {:.0} packets a second, sealed and opened; a fifth is {rate:.0}",
        5.0 * rate
    );
    let fifth = Pace {
        packets: (rate * seconds) as u64,
        rekey_every: 4096,
        rate,
    };
    let (rekeys, took) = flow(&mut dp, &mut keys, &fifth);
    println!(
        "{} packets in {took:.1?}, {rekeys} rekeys, none lost",
        fifth.packets
    );
}
