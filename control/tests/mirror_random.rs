//! Whatever `ip` can do, in any order, against the real kernel: with audits off, the events and what
//! is derived from them must lead to what a fresh look at the kernel shows.

mod mirror;

use std::time::Duration;

use ironlane_control::netlink::MirrorOptions;
use mirror::{World, allowed};

/// A generator that is the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

fn command(random: &mut Random) -> String {
    let verb = random.pick(&[
        "add", "replace", "append", "prepend", "change", "del", "add", "replace",
    ]);
    let metric = random.pick(&["", "", "metric 10", "metric 20"]);
    match random.below(20) {
        0..7 => {
            let prefix = random.pick(&[
                "10.0.0.0/8",
                "10.1.0.0/16",
                "10.1.2.0/24",
                "10.1.2.3/32",
                "192.0.2.0/25",
                "192.0.2.3/32",
                "default",
            ]);
            let target = random.pick(&[
                "via 192.0.2.2",
                "via 198.51.100.2",
                "via 198.51.100.3 mtu 1400",
                "via 203.0.113.9",
                "via inet6 2001:db8:1::2 dev p1",
                "nexthop via 192.0.2.2 nexthop via 198.51.100.2 weight 3",
                "nexthop via 192.0.2.3 nexthop via 203.0.113.9",
                "dev p0",
                "dev p1 src 192.0.2.1",
                "nhid 1",
                "nhid 2",
                "nhid 3",
                "via 192.0.2.2 table default",
                "via 198.51.100.2 tos 0x10",
            ]);
            let kind = random.pick(&[
                "",
                "",
                "",
                "",
                "blackhole",
                "unreachable",
                "throw",
                "prohibit",
            ]);
            match kind {
                "" => format!("route {verb} {prefix} {target} {metric}"),
                kind => format!("route {verb} {kind} {prefix} {metric}"),
            }
        }
        7..12 => {
            let prefix = random.pick(&[
                "2001:db8:a::/48",
                "2001:db8:a:1::/64",
                "2001:db8:a:1::5/128",
                "2001:db8:1::2/128",
                "::/0",
            ]);
            let target = random.pick(&[
                "via 2001:db8:0::2",
                "via 2001:db8:1::2",
                "via 2001:db8:1::3",
                "nexthop via 2001:db8:0::2 nexthop via 2001:db8:1::2",
                "nexthop via 2001:db8:0::2 nexthop via 2001:db8:0::3 nexthop via 2001:db8:1::3",
                "dev p0",
                "dev p1",
                "nhid 4",
                "nhid 5",
            ]);
            match random.below(8) {
                0 => format!("route {verb} blackhole {prefix} {metric}"),
                _ => format!("route {verb} {prefix} {target} {metric}"),
            }
        }
        12 | 13 => {
            let object = random.pick(&[
                "replace id 1 via 192.0.2.2 dev p0",
                "replace id 1 via 198.51.100.3 dev p1",
                "replace id 2 via 198.51.100.2 dev p1",
                "replace id 2 blackhole",
                "replace id 3 group 1/2",
                "replace id 3 group 1,2/2,3",
                "replace id 4 via 2001:db8:1::2 dev p1",
                "replace id 4 via 2001:db8:0::2 dev p0",
                "replace id 6 via 2001:db8:0::3 dev p0",
                "replace id 5 group 4/6",
                "del id 1",
                "del id 2",
                "del id 3",
                "del id 4",
                "del id 5",
            ]);
            format!("nexthop {object}")
        }
        14 | 15 => {
            let port = random.pick(&["p0", "p1", "d0"]);
            format!("link set {port} {}", random.pick(&["up", "up", "down"]))
        }
        16 => {
            let address = random.pick(&[
                "192.0.2.1/24 dev p0",
                "192.0.2.77/24 dev p0",
                "198.51.100.1/24 dev p1",
                "172.16.0.1/24 dev p1",
                "203.0.113.1/24 dev d0",
                "2001:db8:0::1/64 dev p0 nodad",
                "2001:db8:1::1/64 dev p1 nodad",
            ]);
            let verb = random.pick(&["add", "add", "del"]);
            let address = if verb == "del" {
                address.trim_end_matches(" nodad")
            } else {
                address
            };
            format!("address {verb} {address}")
        }
        _ => {
            let host = random.pick(&[
                "192.0.2.2 dev p0",
                "198.51.100.2 dev p1",
                "2001:db8:1::2 dev p1",
                "10.1.2.3 dev p0",
            ]);
            let state = random.pick(&["permanent", "stale", "reachable", "failed"]);
            match random.below(4) {
                0 => format!("neighbour del {host}"),
                _ => format!("neighbour replace {host} lladdr 02:00:00:00:00:02 nud {state}"),
            }
        }
    }
}

#[test]
fn events_and_what_follows_from_them_suffice() {
    if !allowed() {
        return;
    }
    let hour = Duration::from_secs(3600);
    let world = World::with(MirrorOptions {
        audit_delay: hour,
        audit_interval: None,
        refresh_interval: None,
        ..MirrorOptions::default()
    });
    let seed = std::env::var("MIRROR_RANDOM_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let rounds = std::env::var("MIRROR_RANDOM_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let mut random = Random(seed.unwrap_or(7));
    for round in 0..rounds.unwrap_or(150) {
        let commands: Vec<String> = (0..1 + random.below(12))
            .map(|_| command(&mut random))
            .collect();
        if random.below(6) == 0 {
            // Carrier of p0 or p1.
            let (port, state) = (random.below(2), random.pick(&["up", "up", "down"]));
            world.h.ip(&format!("link set q{port} {state}"));
        }
        world.r.try_batch(&commands.join("\n"));
        world.settle(&format!("round {round}: {commands:#?}"));
    }
}
