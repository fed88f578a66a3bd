//! Random walks through everything that `ip` can do at once. The seed of a failing walk is
//! printed: `IRONLANE_SEED` repeats it, `IRONLANE_WALKS` asks for more than a few.

mod mirror;

use mirror::{World, allowed};

/// Steps of a walk, and how many go by between two looks.
const STEPS: usize = 320;
const STRIDE: usize = 8;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const VERBS: &[&str] = &[
    "add", "replace", "append", "prepend", "change", "del", "replace",
];
const PREFIXES: &[&str] = &[
    "default",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "192.0.2.128/25",
];
const PREFIXES6: &[&str] = &[
    "::/0",
    "2001:db8:a::/48",
    "2001:db8:a:1::/64",
    "2001:db8:a:1::7/128",
    "2001:db8::/33",
];
const VIAS: &[&str] = &[
    "via 192.0.2.2",
    "via 192.0.2.3",
    "via 198.51.100.2",
    "via 203.0.113.9",
    "dev p0",
    "dev p1",
    "dev d0",
    "nhid 10",
    "nhid 20",
    "via inet6 2001:db8:1::2 dev p1",
    "nexthop via 192.0.2.2 nexthop via 198.51.100.2",
    "nexthop via 192.0.2.2 weight 3 nexthop via 192.0.2.3 nexthop dev d0",
];
const VIAS6: &[&str] = &[
    "via 2001:db8:0::2",
    "via 2001:db8:0::3",
    "via 2001:db8:1::2",
    "dev p0",
    "dev p1",
    "via fe80::2 dev p0",
    "nhid 12",
    "nhid 21",
    "nexthop via 2001:db8:0::2 nexthop via 2001:db8:1::2",
];

/// One command; many of them fail, for what the walk did before.
fn step(random: &mut Random) -> String {
    let port = random.below(2);
    let net = ["192.0.2", "198.51.100"][port];
    let host = 2 + random.below(3);
    match random.below(20) {
        0 => format!("link set p{port} down"),
        1 | 2 | 16 => format!("link set p{port} up"),
        3 => format!("address del {net}.1/24 dev p{port}"),
        4 | 17 => format!("address add {net}.1/24 dev p{port}"),
        18 => format!("address add 2001:db8:{port}::1/64 dev p{port} nodad"),
        5 => format!(
            "address {} 2001:db8:{port}::1/64 dev p{port}",
            random.one(&["add", "del"])
        ),
        6 => format!(
            "neigh replace {net}.{host} lladdr 02:00:00:00:00:0{host} dev p{port} nud {}",
            random.one(&["reachable", "stale", "permanent", "failed"])
        ),
        7 | 19 => match random.below(4) {
            0 => format!("nexthop replace id 10 via {net}.{host} dev p{port}"),
            1 => format!("nexthop replace id 11 via 198.51.100.{host} dev p1"),
            2 => format!("nexthop replace id 12 via 2001:db8:{port}::{host} dev p{port}"),
            _ => format!("nexthop replace id 13 via 2001:db8:1::{host} dev p1"),
        },
        8 => random
            .one(&[
                "nexthop replace id 20 group 10/11",
                "nexthop replace id 21 group 12/13",
                "nexthop del id 10",
                "nexthop del id 12",
                "nexthop del id 20",
                "nexthop del id 21",
                "nexthop replace id 20 group 10,4/11,2",
            ])
            .to_owned(),
        9 => format!(
            "neigh replace 2001:db8:{port}::{host} lladdr 02:00:00:00:00:0{host} dev p{port} nud reachable"
        ),
        10 | 11 => {
            let verb = random.one(VERBS);
            let kind = random.one(&["", "", "", "blackhole", "prohibit", "throw"]);
            let metric = random.one(&["", "metric 50", "metric 1025", "table default"]);
            let via = if kind.is_empty() {
                random.one(VIAS6)
            } else {
                ""
            };
            format!(
                "route {verb} {kind} {} {via} {metric}",
                random.one(PREFIXES6)
            )
        }
        _ => {
            let verb = random.one(VERBS);
            let kind = random.one(&["", "", "", "", "blackhole", "unreachable", "throw"]);
            let metric = random.one(&["", "", "metric 50", "table default"]);
            let via = if kind.is_empty() {
                random.one(VIAS)
            } else {
                ""
            };
            let mtu = if kind.is_empty() && !via.starts_with("nexthop") && !via.starts_with("nhid")
            {
                random.one(&["", "", "mtu 1400"])
            } else {
                ""
            };
            format!(
                "route {verb} {kind} {} {via} {metric} {mtu}",
                random.one(PREFIXES)
            )
        }
    }
}

fn walk(seed: u64) {
    let world = World::new();
    let mut random = Random(seed);
    let mut done = Vec::new();
    for number in 0..STEPS / STRIDE {
        let commands: Vec<_> = (0..STRIDE).map(|_| step(&mut random)).collect();
        world.r.try_batch(&(commands.join("\n") + "\n"));
        done.extend(commands);
        let last = &done[done.len().saturating_sub(4 * STRIDE)..];
        world.settle(&format!(
            "seed {seed}, look {number}, last:\n{}\n",
            last.join("\n")
        ));
    }
    let status = world.status();
    assert_eq!(status.totals.malformed, 0);
    println!(
        "seed {seed}: {} swept, {:?}",
        status.totals.swept, status.messages
    );
}

#[test]
fn any_walk_ends_where_the_kernel_ends() {
    if !allowed() {
        return;
    }
    if let Ok(seed) = std::env::var("IRONLANE_SEED") {
        return walk(seed.parse().unwrap());
    }
    let walks = std::env::var("IRONLANE_WALKS").map_or(4, |text| text.parse().unwrap());
    for seed in 1..=walks {
        walk(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
    }
}
