//! What encryption costs an lcore: bursts of packets of one length, of one or many sessions, by the
//! engine and beside others.

use std::time::Duration;

use ironlane_dataplane::eal::crypto::{CryptoDevice, Way};
use ironlane_dataplane::eal::{
    Clock, CpuList, Eal, EalConfig, Mbuf, MbufBatch, Memory, Mempool, launch,
};
use ironlane_ipsec::{Algorithm, Auth, Cipher};
use serde::Serialize;

#[cfg(feature = "baselines")]
mod baselines;
mod engine;

/// Ways with their names.
type Contenders = Vec<(String, Box<dyn Contender>)>;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Bytes of an ESP header and an AES-CBC IV before the text; the ICV lies behind it.
const BEFORE: usize = 24;
/// Packets that take turns.
const PACKETS: usize = 1024;

/// What to measure.
#[derive(clap::Args)]
pub struct CryptoArgs {
    /// The CPU that does it.
    #[arg(long, default_value_t = 1)]
    cpu: usize,
    /// Bytes of text in each packet.
    #[arg(long, value_delimiter = ',', default_value = "64,512,1420")]
    bytes: Vec<usize>,
    /// Sessions that packets take turns with.
    #[arg(long, value_delimiter = ',', default_value = "1,1000")]
    sessions: Vec<usize>,
    /// Packets in a burst, 64 at most.
    #[arg(long, default_value_t = 32)]
    burst: usize,
    /// The algorithm.
    #[arg(long, value_enum, default_value = "aes-gcm")]
    algorithm: Choice,
    /// Bits of the cipher's key.
    #[arg(long, default_value_t = 128)]
    key: usize,
    /// Verify and decrypt. Each burst is sealed before, which does not count.
    #[arg(long)]
    open: bool,
    /// Devices of the engine, by their device strings.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "cpu,libipsec-mb,crypto_aesni_mb0,crypto_aesni_gcm0"
    )]
    devices: Vec<String>,
    /// How often each is measured, taking turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Milliseconds of one reading.
    #[arg(long, default_value_t = 60)]
    millis: u64,
}

/// Algorithms that are worth a comparison.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Choice {
    AesGcm,
    AesCbcSha256,
    AesCtrSha256,
    Chacha20Poly1305,
    AesGmac,
    NullSha256,
}

impl Choice {
    fn algorithm(self) -> Algorithm {
        let (cipher, auth) = match self {
            Self::AesGcm => (Cipher::AesGcm { icv: 16 }, Auth::None),
            Self::AesCbcSha256 => (Cipher::AesCbc, Auth::HmacSha256_128),
            Self::AesCtrSha256 => (Cipher::AesCtr, Auth::HmacSha256_128),
            Self::Chacha20Poly1305 => (Cipher::ChaCha20Poly1305, Auth::None),
            Self::AesGmac => (Cipher::AesGmac, Auth::None),
            Self::NullSha256 => (Cipher::Null, Auth::HmacSha256_128),
        };
        Algorithm { cipher, auth }
    }
}

/// Keys, and where in a packet they work.
#[derive(Clone, Copy)]
struct Work {
    algorithm: Algorithm,
    key_bytes: usize,
    way: Way,
    bytes: usize,
    burst: usize,
}

impl Work {
    /// The cipher's and the authenticator's key of a session, told apart by its number.
    fn keys(&self, session: usize) -> (Vec<u8>, Vec<u8>) {
        let number = (session as u32).to_be_bytes();
        let key = |len: usize| number.iter().copied().cycle().take(len).collect();
        (
            key(self.key_bytes),
            key(self.algorithm.auth.key_lens_bytes()[0]),
        )
    }
}

/// One way to do it, with sessions of its own.
trait Contender {
    /// Does a burst of `count` packets that lie one after the other from `first` on, each with the next
    /// session. False if one failed.
    fn burst(&mut self, packets: &mut [Mbuf], first_session: usize, way: Way) -> bool;
}

/// A reading.
#[derive(Serialize)]
struct Line<'a> {
    way: &'a str,
    algorithm: String,
    open: bool,
    bytes: usize,
    sessions: usize,
    burst: usize,
    /// Ticks of the time stamp counter for a packet: the median of all rounds, and the least.
    ticks: f64,
    least_ticks: f64,
    mpps: f64,
    gbit_s: f64,
}

impl CryptoArgs {
    /// Measures, and prints a line of JSON for each way, length and number of sessions.
    ///
    /// # Errors
    /// If EAL or a device does not start, or a packet fails.
    pub fn run(self) -> Result<(), Box<dyn std::error::Error>> {
        let eal = Eal::start(&EalConfig {
            memory: Memory::Hugepages { mib: None },
            log_level: Some("error".into()),
            ..EalConfig::default()
        })?;
        if !(1..=ironlane_dataplane::eal::BURST_MAX).contains(&self.burst) {
            return Err("a burst has 1 to 64 packets".into());
        }
        CpuList::allowed().check(self.cpu)?;
        let cpu = self.cpu;
        let thread = launch(eal, "crypto", cpu, move || self.measure(eal))?;
        thread
            .join()?
            .map_err(|failure| -> Box<dyn std::error::Error> { failure })
    }

    fn measure(&self, eal: Eal) -> Result<(), Failure> {
        let clock = Clock::start(eal);
        let pool = Mempool::create(eal, "crypto", 2047, 2048, -1)?;
        let mut packets = packets(&pool);
        for &sessions in &self.sessions {
            for &bytes in &self.bytes {
                let work = Work {
                    algorithm: self.algorithm.algorithm(),
                    key_bytes: match self.algorithm {
                        Choice::Chacha20Poly1305 => 32,
                        Choice::NullSha256 => 0,
                        _ => self.key / 8,
                    },
                    way: if self.open { Way::Open } else { Way::Seal },
                    bytes: if self.algorithm == Choice::AesCbcSha256 {
                        bytes.next_multiple_of(16)
                    } else {
                        bytes
                    },
                    burst: self.burst,
                };
                let mut ways = self.ways(eal, &work, sessions)?;
                let mut ticks = vec![Vec::new(); ways.len()];
                for round in 0..self.rounds {
                    let mut order: Vec<_> = (0..ways.len()).collect();
                    if round % 2 == 1 {
                        order.reverse();
                    }
                    for which in order {
                        let (name, way) = &mut ways[which];
                        let time = Duration::from_millis(self.millis);
                        let reading =
                            read(&clock, way.as_mut(), &mut packets, &work, sessions, time)
                                .ok_or_else(|| format!("{name}: packets fail"))?;
                        ticks[which].push(reading);
                    }
                }
                for ((name, _), mut ticks) in ways.iter().zip(ticks) {
                    ticks.sort_by(f64::total_cmp);
                    print(&clock, name, &ticks, &work, sessions)?;
                }
            }
        }
        packets.into_iter().for_each(Mbuf::free);
        Ok(())
    }

    fn ways(&self, eal: Eal, work: &Work, sessions: usize) -> Result<Contenders, Failure> {
        let mut ways: Contenders = Vec::new();
        for string in &self.devices {
            let device = CryptoDevice::open(eal, string, 1, -1)?;
            let name = format!("engine, {string}");
            match engine::ByEngine::new(&device, work, sessions) {
                Ok(way) => ways.push((name, Box::new(way))),
                Err(ironlane_dataplane::eal::crypto::CryptoError::Unsupported { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        #[cfg(feature = "baselines")]
        ways.extend(baselines::ways(eal, work, sessions)?);
        Ok(ways)
    }
}

/// Packets full of bytes, the same each time.
fn packets(pool: &Mempool) -> Vec<Mbuf> {
    let mut packets = Vec::new();
    for number in 0..PACKETS {
        let mut one = MbufBatch::new();
        assert!(pool.alloc(&mut one, 1), "the pool has as many");
        let mut mbuf = one.pop().expect("one packet");
        let data = mbuf.append(1600).expect("a buffer of 2048");
        for (i, byte) in data.iter_mut().enumerate() {
            *byte = (number * 7 + i) as u8;
        }
        packets.push(mbuf);
    }
    packets
}

/// Ticks for a packet, over bursts through all packets again and again for so long. `None` if one fails.
fn read(
    clock: &Clock,
    way: &mut dyn Contender,
    packets: &mut [Mbuf],
    work: &Work,
    sessions: usize,
    time: Duration,
) -> Option<f64> {
    let end = clock.now_ns() + time.as_nanos() as u64;
    let (mut spent, mut count, mut session) = (0, 0u64, 0);
    while clock.now_ns() < end {
        for burst in packets.chunks_exact_mut(work.burst) {
            // What is opened has to be sealed before, which is not counted.
            if work.way == Way::Open && !way.burst(burst, session, Way::Seal) {
                return None;
            }
            let start = ironlane_dataplane::eal::ticks();
            if !way.burst(burst, session, work.way) {
                return None;
            }
            spent += ironlane_dataplane::eal::ticks() - start;
            count += burst.len() as u64;
            session = (session + burst.len()) % sessions;
        }
    }
    Some(spent as f64 / count as f64)
}

fn print(
    clock: &Clock,
    name: &str,
    ticks: &[f64],
    work: &Work,
    sessions: usize,
) -> Result<(), Failure> {
    let median = ticks[ticks.len() / 2];
    let per_second = clock.hz() as f64 / median;
    let line = Line {
        way: name,
        algorithm: format!("{} ({})", work.algorithm, work.key_bytes * 8),
        open: work.way == Way::Open,
        bytes: work.bytes,
        sessions,
        burst: work.burst,
        ticks: (median * 10.0).round() / 10.0,
        least_ticks: (ticks[0] * 10.0).round() / 10.0,
        mpps: (per_second / 1e4).round() / 100.0,
        gbit_s: (per_second * work.bytes as f64 * 8.0 / 1e8).round() / 10.0,
    };
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}
