//! Wrong input, by the burst: packets are sealed right, then damaged, or damaged and then sealed, so that
//! what the parsers behind the crypto get is authentic.
//!
//! Whatever comes in: no panic, each packet decided once, every counter right, every buffer back. What was
//! not damaged arrives once, replayed or not; what was changed behind the sender's back never does; and
//! nothing that is to be protected leaves in clear.
//!
//! `IRONLANE_FUZZ_PACKETS` (default 60,000) says how many, `IRONLANE_FUZZ_SEED` which.

mod cases;
mod clear;
mod rng;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Instant;

use ironlane_dataplane::dataplane::DataplaneConfig;
use ironlane_dataplane::eal::CpuList;
use ironlane_dataplane::reason::DropReason;
use ironlane_tests::{Event, Injected, Settings, WholeDp};

use crate::ipsec::with_ipsec_by;
use crate::ipsec_peers::{Kind, Peer};
use cases::{By, Damage, Hope, Macs};
use rng::Rng;

/// Cases between two looks at all counters.
const STEP: usize = 192;

/// Packets that bring about every reason that they can.
const ENOUGH: u64 = 60_000;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| {
        let digits = text.replace('_', "");
        digits
            .parse()
            .unwrap_or_else(|e| panic!("{variable}={text}: {e}"))
    })
}

/// What is true of all steps together.
#[derive(Default)]
struct Tally {
    packets: u64,
    delivered: u64,
    sent: u64,
    punted: u64,
    drops: BTreeMap<DropReason, u64>,
}

/// Marks that are to be seen, and what has been seen of them.
type Marks = HashMap<u64, ((Hope, Damage, Kind), usize)>;

struct Fuzz {
    rng: Rng,
    peers: Vec<Peer>,
    by_address: HashMap<IpAddr, usize>,
    macs: Macs,
    handoffs: bool,
    cases: u64,
    tally: Tally,
}

impl Fuzz {
    fn new(dp: &mut WholeDp, seed: u64, handoffs: bool) -> Self {
        let peers = Peer::all(dp);
        Self {
            rng: Rng::new(seed),
            by_address: peers
                .iter()
                .enumerate()
                .map(|(n, peer)| (peer.address, n))
                .collect(),
            peers,
            macs: [dp.mac("p0").0, dp.mac("p1").0],
            handoffs,
            cases: 0,
            tally: Tally::default(),
        }
    }

    /// Sends a step of frames one way, and judges what came of them.
    fn step(&mut self, dp: &mut WholeDp, inbound: bool) {
        let (mut received, mut kernel) = (Vec::<(&str, Injected)>::new(), Vec::new());
        let mut marks = Marks::new();
        let first = self.cases;
        self.cases += STEP as u64;
        for n in first..self.cases {
            let (rng, peers) = (&mut self.rng, &self.peers);
            let case = match inbound {
                true => cases::from_peer(rng, self.macs, peers, n),
                false => cases::to_peer(rng, self.macs, peers, n),
            };
            let told = (case.hope, case.how, case.kind);
            marks.insert(n, (told, 0));
            for packet in case.packets {
                match case.by {
                    By::Peers => received.push(("p1", packet)),
                    By::Hosts => received.push(("p0", packet)),
                    By::Kernel => kernel.push(packet.bytes),
                }
            }
        }
        self.tally.packets += (received.len() + kernel.len()) as u64;
        let out = dp.send_all(&received);
        self.judge(out, &mut marks);
        for some in kernel.chunks(64) {
            let frames: Vec<_> = some.iter().map(|bytes| ("p1", &bytes[..])).collect();
            let out = dp.inject(&frames);
            self.judge(out, &mut marks);
        }
        for (n, ((hope, how, kind), seen)) in marks {
            let right = match hope {
                Hope::Arrives => seen == 1,
                Hope::Never => seen == 0,
                Hope::Any => seen <= 1,
            };
            assert!(
                right,
                "case {n} arrived {seen} times: {hope:?}, {how:?}, {kind:?}"
            );
        }
    }

    fn judge(&mut self, out: ironlane_tests::Outcome, marks: &mut Marks) {
        let (events, drops) = out.take_events();
        for (port, reason, count) in &drops {
            out.dropped_n(port, *reason, *count);
            *self.tally.drops.entry(*reason).or_default() += count;
        }
        for event in &events {
            let (packet, by_peers) = match event {
                Event::Sent { port, bytes } => (&bytes[14..], port == "p1"),
                Event::Punted { bytes, .. } => (bytes.get(14..).unwrap_or(&[]), false),
            };
            match event {
                Event::Sent { .. } => self.tally.sent += 1,
                Event::Punted { .. } => self.tally.punted += 1,
            }
            let opened = match by_peers {
                true => self.open(packet),
                false => Some(packet.to_vec()),
            };
            let mark = opened.as_deref().and_then(clear::marked);
            if let Some((_, seen)) = mark.and_then(|mark| marks.get_mut(&mark)) {
                *seen += 1;
                self.tally.delivered += 1;
            }
        }
        if self.handoffs {
            out.with_handoffs();
        }
        out.with_fragments().nothing_else();
    }

    /// What is in a packet that left by p1, which must be protected if it is for what is behind a peer.
    fn open(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let flow = ironlane_ipsec::Flow::of(packet)?;
        let behind = |peer: &Peer| peer.inner == flow.dst && peer.inner != peer.address;
        assert!(
            !self
                .peers
                .iter()
                .any(|peer| behind(peer) && flow.src == peer.host()),
            "left in clear: {packet:02x?}"
        );
        self.peers[*self.by_address.get(&flow.dst)?].open(packet)
    }

    fn report(&self, took: std::time::Duration) {
        let Tally {
            packets,
            delivered,
            sent,
            punted,
            ref drops,
        } = self.tally;
        println!(
            "{packets} packets in {took:.1?} ({:.0} a second): {delivered} delivered whole, \
             {sent} sent, {punted} punted, dropped:",
            packets as f64 / took.as_secs_f64()
        );
        for (reason, count) in drops {
            println!("{count:>10} {reason}");
        }
    }
}

/// No fragment is given up while the counters of a step are compared with what came out.
fn patient(config: &mut DataplaneConfig) {
    let ipsec = config.ipsec.as_mut().expect("asked for");
    ipsec.fragments.timeout_ns = 3_600_000_000_000;
}

/// Runs so many packets through SAs of all kinds on these lcores.
fn fuzz(packets: u64, seed: u64, lcores: Vec<usize>) -> BTreeMap<DropReason, u64> {
    println!("IRONLANE_FUZZ_SEED={seed}, lcores {lcores:?}");
    let handoffs = lcores.len() > 1;
    let mut dp = with_ipsec_by(Settings {
        ipsec: true,
        lcores,
        adjust: patient,
        ..Settings::default()
    });
    let mut fuzz = Fuzz::new(&mut dp, seed, handoffs);
    let began = Instant::now();
    while fuzz.tally.packets < packets {
        let inbound = !fuzz.rng.one_in(3);
        fuzz.step(&mut dp, inbound);
    }
    fuzz.report(began.elapsed());
    dp.stop();
    fuzz.tally.drops
}

#[test]
fn any_damage_is_dropped_by_name_and_nothing_else_is() {
    use DropReason as D;
    let packets = number("IRONLANE_FUZZ_PACKETS", ENOUGH);
    let seed = number("IRONLANE_FUZZ_SEED", 0x1_2345);
    let lcores: Vec<usize> = CpuList::allowed().0;
    let drops = fuzz(packets, seed, lcores[..1].to_vec());
    if packets < ENOUGH {
        return;
    }
    for reason in [
        D::IpsecNoSa,
        D::IpsecKeepalive,
        D::IpsecReplay,
        D::IpsecIntegrity,
        D::IpsecMalformed,
        D::IpsecPadding,
        D::IpsecDummy,
        D::IpsecMode,
        D::IpsecInner,
        D::IpsecEcn,
        D::IpsecNested,
        D::IpsecNoRoom,
        D::IpsecTooBig,
        D::PolicyMissing,
        D::PolicyUnprotected,
    ] {
        assert!(
            drops.contains_key(&reason),
            "no packet was dropped as {reason}"
        );
    }
}

#[test]
fn any_damage_passes_between_lcores() {
    let Some(two) = CpuList::allowed().0.get(..2).map(<[usize]>::to_vec) else {
        println!("SKIP whole_dp/two_lcores: needs two CPUs");
        return;
    };
    fuzz(
        number("IRONLANE_FUZZ_PACKETS", ENOUGH) / 4,
        number("IRONLANE_FUZZ_SEED", 0x1_2345) + 2,
        two,
    );
}
