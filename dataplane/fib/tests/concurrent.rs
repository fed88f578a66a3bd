//! Readers hunt for an answer that is neither that of the table before nor after a change, for a
//! nexthop that was given to somebody else, and for half-made objects, while one writer changes
//! everything as fast as it can.

mod naive;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use ironlane_fib::{
    Adjacency, AdjacencyKind, Group, Member, NexthopIndex, PortId, Tables, VrfId, Writer,
};
use ironlane_rcu::{Domain, Guard};
use naive::NaiveTable;

const VRF: VrfId = VrfId::DEFAULT;
const TIME: Duration = Duration::from_millis(600);

/// Tells readers which change is under way, so that they know which answers are right: while
/// the phase is `n`, change `n` may be half done, and all before it are done.
#[derive(Default)]
struct Clock {
    phase: AtomicU64,
    over: AtomicBool,
}

impl Clock {
    /// Runs changes until the time is up. Each is called with its number.
    fn drive(&self, mut change: impl FnMut(u64)) {
        let begin = Instant::now();
        let mut phase = 0;
        while begin.elapsed() < TIME {
            for _ in 0..64 {
                phase += 1;
                self.phase.store(phase, SeqCst);
                change(phase);
            }
        }
        self.over.store(true, SeqCst);
    }

    /// Looks at something, and says which changes were done before, and begun when it was over.
    fn observe<T>(&self, look: impl FnOnce() -> T) -> (T, u64, u64) {
        let before = self.phase.load(SeqCst);
        let seen = look();
        (seen, before.saturating_sub(1), self.phase.load(SeqCst))
    }
}

/// Runs readers beside the writer until it has ended; each looks once a burst. Returns bursts.
fn hunt(
    domain: &Arc<Domain>,
    clock: &Clock,
    writer: impl FnOnce() + Send,
    reader: impl Fn(&Guard<'_>) + Sync,
) {
    let bursts = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 0..3 {
            let (reader, bursts) = (&reader, &bursts);
            scope.spawn(move || {
                let mut lcore = Domain::register(domain).expect("room");
                let mut count = 0;
                while !clock.over.load(SeqCst) {
                    reader(&lcore.read());
                    count += 1;
                    if number == 0 && count % 256 == 0 {
                        lcore.offline();
                        thread::sleep(Duration::from_micros(200));
                    }
                }
                bursts.fetch_add(count, SeqCst);
            });
        }
        writer();
    });
    assert!(bursts.into_inner() > 20, "the readers have hardly run");
}

fn setup() -> (Arc<Domain>, Arc<Tables>, Writer) {
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
    (domain, tables, writer)
}

fn prefix(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

/// Flips the prefixes in an order that nests them in all ways, and watches the addresses.
fn flip_and_watch(prefixes: &[&str], addresses: &[&str]) {
    let (domain, tables, mut writer) = setup();
    let hops: Vec<NexthopIndex> = (0..prefixes.len())
        .map(|port| Adjacency::forward(PortId(port as u16), 1500, [2; 6], [4; 6]))
        .map(|adjacency| writer.add_nexthop(adjacency.into()).expect("room"))
        .collect();
    let prefixes: Vec<IpNet> = prefixes.iter().map(|text| prefix(text)).collect();
    let addresses: Vec<u128> = addresses
        .iter()
        .map(|text| naive::bits(text.parse::<IpAddr>().expect("an address")))
        .collect();
    let ip4 = prefixes[0].max_prefix_len() == 32;

    // Change n flips prefix (n * 7 + n / 11) % len; after `period` changes it repeats.
    let count = prefixes.len() as u64;
    let which = move |change: u64| ((change * 7 + change / 11) % count) as usize;
    let period = 11 * count * 2;
    let (mut naive, mut expected) = (NaiveTable::default(), Vec::new());
    let flip = |naive: &mut NaiveTable, change: u64| {
        let (prefix, hop) = (prefixes[which(change)], hops[which(change)]);
        if naive.remove(prefix).is_none() {
            naive.insert(prefix, hop);
        }
        naive.get(prefix).is_some()
    };
    let answers = |naive: &NaiveTable| {
        addresses
            .iter()
            .map(|&a| naive.lookup(a))
            .collect::<Vec<_>>()
    };
    expected.push(answers(&naive));
    for change in 1..=period {
        flip(&mut naive, change);
        expected.push(answers(&naive));
    }
    assert_eq!(
        naive.len(),
        0,
        "every prefix is flipped an even number of times"
    );
    let after = |change: u64| &expected[(change % period) as usize];

    let clock = Clock::default();
    let write = || {
        let mut naive = NaiveTable::default();
        clock.drive(|phase| {
            let change = (phase - 1) % period + 1;
            let (prefix, hop) = (prefixes[which(change)], hops[which(change)]);
            if flip(&mut naive, change) {
                writer.insert(VRF, prefix, hop).expect("room");
            } else {
                assert!(writer.remove(VRF, prefix).is_some());
            }
            if phase % 8 == 0 {
                writer.reclaim();
            }
        });
    };
    hunt(&domain, &clock, write, |guard| {
        let (seen, from, to) = clock.observe(|| {
            let mut seen = vec![NexthopIndex::NONE; addresses.len()];
            if ip4 {
                let addresses: Vec<u32> = addresses.iter().map(|a| (a >> 96) as u32).collect();
                tables
                    .ip4(guard, VRF)
                    .lookup_bulk(guard, &addresses, &mut seen);
            } else {
                tables
                    .ip6(guard, VRF)
                    .lookup_bulk(guard, &addresses, &mut seen);
            }
            seen
        });
        for (place, answer) in seen.into_iter().enumerate() {
            let right = (from..=to)
                .take(period as usize)
                .any(|change| after(change)[place] == answer);
            assert!(
                right,
                "{:x}: {answer} in changes {from} to {to}",
                addresses[place]
            );
        }
    });
}

#[test]
fn ip4_answers_are_those_before_or_after() {
    flip_and_watch(
        &[
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.0/23",
            "10.1.2.0/24",
            "10.1.2.3/32",
            "10.1.2.0/25",
            "10.1.0.0/17",
            "10.1.3.0/24",
            "10.1.2.2/31",
            "10.0.0.0/15",
            "0.0.0.0/1", // too wide for a sparse root
        ],
        &[
            "10.1.2.3",
            "10.1.2.2",
            "10.1.2.1",
            "10.1.2.128",
            "10.1.3.1",
            "10.1.128.0",
            "10.0.0.1",
            "10.2.0.0",
            "192.0.2.1",
            "255.255.255.255",
        ],
    );
}

#[test]
fn ip6_answers_are_those_before_or_after() {
    flip_and_watch(
        &[
            "::/0",
            "2001:db8::/32",
            "2001:db8::/48",
            "2001:db8:0:1::/64",
            "2001:db8::1/128",
            "2001:db8:0:1::/127",
            "2001:db8:0:1::1/128",
            "2000::/3",
            "2001:db8:8000::/33",
            "2001:db8:0:1::100/120",
            "2001:d00::/24",
            "2000::/5", // too wide for a sparse root
        ],
        &[
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8:0:1::",
            "2001:db8:0:1::1",
            "2001:db8:0:1::2",
            "2001:db8:0:1::100",
            "2001:db8:8000::",
            "2001:dff::1",
            "3fff::1",
            "fe80::1",
        ],
    );
}

/// Each route change brings a nexthop of its own and removes the one before, so indexes are
/// reused as fast as grace periods allow. A packet must find the nexthop that was meant.
#[test]
fn an_index_is_never_reused_under_a_packet() {
    let (domain, tables, mut writer) = setup();
    let address = u32::from(std::net::Ipv4Addr::new(192, 0, 2, 1));
    let prefix = prefix("192.0.2.0/24");
    let mac = |number: u64| {
        let bytes = number.to_be_bytes();
        [bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]]
    };
    let clock = Clock::default();
    let mut highest = 0;
    let write = || {
        let mut before = None;
        clock.drive(|phase| {
            // A single hop and a group of one take turns; the destination is the phase.
            let hop = Adjacency::forward(PortId(0), 1500, mac(phase), mac(!phase)).into();
            let hop = writer.add_nexthop(hop).expect("indexes come back");
            let (top, member) = if phase % 2 == 0 {
                let group = Group::new(&[Member {
                    nexthop: hop,
                    weight: 3,
                }])
                .expect("one member");
                (
                    writer.add_nexthop(group.into()).expect("indexes come back"),
                    Some(hop),
                )
            } else {
                (hop, None)
            };
            highest = highest.max(top.raw());
            let old = writer.insert(VRF, prefix, top).expect("room");
            let removed = before.replace((top, member));
            assert_eq!(old, removed.map(|(top, _)| top));
            if let Some((top, member)) = removed {
                writer.remove_nexthop(top).expect("no route uses it");
                if let Some(member) = member {
                    writer.remove_nexthop(member).expect("no group uses it");
                }
            }
            if phase % 4 == 0 {
                writer.reclaim();
            }
        });
        writer.synchronize();
        assert_eq!(writer.stats().nexthops_leaving, 0);
    };
    hunt(&domain, &clock, write, |guard| {
        let (seen, from, to) = clock.observe(|| {
            let index = tables.ip4(guard, VRF).lookup(guard, address);
            std::hint::spin_loop(); // the rest of the burst comes between
            let adjacency = tables.nexthops().resolve(guard, index, to_hash(index));
            (!index.is_none()).then(|| (adjacency.dst_mac(), adjacency.src_mac()))
        });
        let Some((dst, src)) = seen else {
            return assert_eq!(from, 0);
        };
        let right = |phase: u64| dst == mac(phase) && src == mac(!phase);
        assert!(
            (from..=to).any(right),
            "{dst:x?} {src:x?} in changes {from} to {to}"
        );
    });
    assert!(highest < 70_000, "indexes are reused: {highest}");
}

fn to_hash(index: NexthopIndex) -> u32 {
    index.raw().wrapping_mul(0x0101_0101)
}

/// A change of a neighbour is one word for all its routes: all answers of a burst change, none
/// is torn.
#[test]
fn replaced_adjacencies_are_whole() {
    let (domain, tables, mut writer) = setup();
    let hop = writer
        .add_nexthop(Adjacency::glean(PortId(7), 1500).into())
        .expect("room");
    writer
        .insert(VRF, prefix("2001:db8::/32"), hop)
        .expect("room");
    let address = u128::from(
        "2001:db8::1"
            .parse::<std::net::Ipv6Addr>()
            .expect("an address"),
    );
    let clock = Clock::default();
    let write = || {
        clock.drive(|phase| {
            let byte = phase as u8;
            let adjacency = match phase % 3 {
                0 => Adjacency::glean(PortId(7), 1500),
                _ => Adjacency::forward(PortId(7), u16::from(byte), [byte; 6], [!byte; 6]),
            };
            writer
                .replace_nexthop(hop, adjacency.into())
                .expect("it exists");
        });
        assert!(writer.pending() < 70_000, "bounded: {}", writer.pending());
    };
    hunt(&domain, &clock, write, |guard| {
        let index = tables.ip6(guard, VRF).lookup(guard, address);
        let adjacency = tables.nexthops().resolve(guard, index, 0);
        tables.nexthops().of_burst(guard).mark_used(index);
        match adjacency.kind() {
            AdjacencyKind::Glean => {
                assert_eq!((adjacency.mtu(), adjacency.dst_mac()), (1500, [0; 6]))
            }
            AdjacencyKind::Forward => {
                let byte = adjacency.mtu() as u8;
                assert_eq!(
                    (adjacency.dst_mac(), adjacency.src_mac()),
                    ([byte; 6], [!byte; 6])
                );
            }
            other => panic!("{other}"),
        }
        assert_eq!(adjacency.port(), PortId(7));
    });
}

/// Walkers see every route that stays, while others come and go and nodes are recycled. A walk is
/// no snapshot: it may meet many of the hosts that flap, one after another, but none that was not
/// there at some time of the walk.
#[test]
fn a_walk_beside_changes_is_complete() {
    const PERIOD: u64 = 2 * 65_536;
    let (domain, tables, mut writer) = setup();
    let mut hop = || writer.add_nexthop(Adjacency::simple(AdjacencyKind::Local).into());
    let (stays, flaps) = (hop().expect("room"), hop().expect("room"));
    for third in 0..=255u8 {
        let prefix = IpNet::new([10, 1, third, 0].into(), 24).expect("a prefix");
        writer.insert(VRF, prefix, stays).expect("room");
    }
    // Change 2 n adds host n of 10.1/16, counted along its third byte first; the next takes it away.
    let host = |change: u64| [10, 1, (change / 2) as u8, (change / 512) as u8];
    let change_of = |address: u32| {
        let [_, _, third, fourth] = address.to_be_bytes();
        2 * u64::from(u16::from_be_bytes([fourth, third]))
    };
    let clock = Clock::default();
    let write = || {
        clock.drive(|phase| {
            let prefix = IpNet::new(host(phase).into(), 32).expect("a prefix");
            match phase % 2 {
                0 => _ = writer.insert(VRF, prefix, flaps).expect("room"),
                _ => _ = writer.remove(VRF, prefix),
            }
        });
    };
    hunt(&domain, &clock, write, |guard| {
        let (runs, from, to) =
            clock.observe(|| tables.ip4(guard, VRF).runs(guard).collect::<Vec<_>>());
        let (mut next, mut flapping) = (Some(0), 0);
        for run in runs {
            assert_eq!(Some(run.first), next, "no gap");
            next = run.last.checked_add(1);
            for address in [run.first, run.last] {
                let routed = address >> 16 == 0x0a01;
                assert_eq!(run.nexthop.is_none(), !routed, "{address:x}");
            }
            if run.nexthop == flaps {
                flapping += u64::from(run.last - run.first) + 1;
                for address in run.first..=run.last {
                    let added = from + (change_of(address) + PERIOD - from % PERIOD) % PERIOD;
                    assert!(added <= to, "{address:x} in changes {from} to {to}");
                }
            } else if !run.nexthop.is_none() {
                assert_eq!(run.nexthop, stays);
            }
        }
        assert_eq!(next, None, "to the last address");
        assert!(
            flapping <= to - from + 1,
            "{flapping} in changes {from} to {to}"
        );
    });
}
