//! The commands about scenes: `frames`, `table`, `play`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ironlane_dataplane::eal::{self, Memory};
use serde::Serialize;

use crate::frames;
use crate::oracle::{Fates, Oracle};
use crate::router::{Measured, Router, Setup};
use crate::scene::{self, Scene};
use crate::table::{self, Route, Tables};

type Failure = Box<dyn std::error::Error>;

/// Which scene, and where its tables are.
#[derive(Args, Clone)]
pub struct Which {
    /// Name of the scene (`ironlane-perf scenes` lists them).
    #[arg(long)]
    pub scene: String,
    /// File of `table4`, lines `prefix nexthop`.
    #[arg(long)]
    pub table4: Option<PathBuf>,
    /// File of `table6`.
    #[arg(long)]
    pub table6: Option<PathBuf>,
    /// Frame length without FCS, instead of that of the scene.
    #[arg(long)]
    pub size: Option<usize>,
    /// How many frames, instead of as many as the scene has.
    #[arg(long)]
    pub frames: Option<usize>,
    /// Cuts the prefixes of the scene in so many routes, each with a nexthop of its own.
    #[arg(long)]
    pub nexthops: Option<u32>,
}

impl Which {
    /// The scene with its tables.
    ///
    /// # Errors
    /// If there is none of the name, or a file cannot be read.
    pub fn load(&self) -> Result<(Scene, Tables), Failure> {
        let scene = scene::named(&self.scene)?
            .with(self.size, self.frames)
            .with_nexthops(self.nexthops);
        let tables = Tables::read(self.table4.as_deref(), self.table6.as_deref())?;
        Ok((scene, tables))
    }
}

/// Writes the frames of a scene to a pcap file.
#[derive(Args)]
pub struct FramesArgs {
    #[command(flatten)]
    which: Which,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    /// Number of the `net_pcap` port that will play them, the last byte of its MAC address.
    #[arg(long, default_value_t = 0)]
    port: u8,
    /// MAC address that they are sent to, instead of that port's.
    #[arg(long, value_parser = mac)]
    dst_mac: Option<[u8; 6]>,
}

/// An address as `02:00:00:00:00:01`.
pub(crate) fn mac(text: &str) -> Result<[u8; 6], String> {
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "a MAC address is six bytes, as 02:00:00:00:00:01".into())
}

impl FramesArgs {
    /// Does it.
    ///
    /// # Errors
    /// What making or writing them says.
    pub fn run(&self) -> Result<(), Failure> {
        let (scene, tables) = self.which.load()?;
        let mut made = frames::make(&scene, &tables, self.port)?;
        if let Some(mac) = self.dst_mac {
            made.iter_mut()
                .for_each(|frame| frame[..6].copy_from_slice(&mac));
        }
        Ok(frames::write(&self.out, &made)?)
    }
}

/// Writes a route table: made up, or the first routes of a file.
#[derive(Args)]
pub struct TableArgs {
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    /// IPv6 instead of IPv4.
    #[arg(long)]
    v6: bool,
    /// How many routes at most.
    #[arg(long, default_value_t = 1_000_000)]
    routes: usize,
    /// Nexthops of a made-up table.
    #[arg(long, default_value_t = 256)]
    nexthops: u32,
    /// Takes them from this file, packed by xz or not.
    #[arg(long)]
    from: Option<PathBuf>,
}

impl TableArgs {
    /// Does it.
    ///
    /// # Errors
    /// What reading or writing says.
    pub fn run(&self) -> Result<(), Failure> {
        let mut routes = match &self.from {
            Some(path) => table::read(path)?,
            None => table::synthetic(self.v6, self.routes, self.nexthops),
        };
        routes.truncate(self.routes);
        table::write(&self.out, &routes)
    }
}

/// Plays frames of a scene through one lcore and prints what it did, as JSON.
#[derive(Args)]
pub struct PlayArgs {
    #[command(flatten)]
    which: Which,
    /// The file of its frames (`ironlane-perf frames`); several for several ports.
    #[arg(long, required = true)]
    pcap: Vec<PathBuf>,
    /// For so long.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// CPUs of the lcores.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    cpu: Vec<usize>,
    /// Plays the frames once instead, and compares each one that comes out.
    #[arg(long)]
    verify: bool,
    /// Tables of other VRFs, with the same routes.
    #[arg(long, default_value_t = 0)]
    other_vrfs: u16,
    /// Ordinary memory instead of hugepages: so many MiB.
    #[arg(long)]
    no_huge: Option<u32>,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'static str,
    /// Of the DPDK that it ran with.
    dpdk: String,
    scene: &'a str,
    routes: usize,
    #[serde(flatten)]
    measured: Measured,
}

impl PlayArgs {
    /// Does it.
    ///
    /// # Errors
    /// If anything but what the scene wants happens to a packet.
    pub fn run(&self) -> Result<(), Failure> {
        let (scene, tables) = self.which.load()?;
        let routes = scene.routes(&tables)?;
        let memory = self.memory();
        if self.verify {
            let fates = verify(&self.pcap, self.cpu[0], memory, &routes, &routes)?;
            println!(
                "{}: all right, {} forwarded, {} for Linux, {} dropped",
                scene.name, fates.forwarded, fates.punted, fates.dropped
            );
            return Ok(());
        }
        let mut sent = Vec::new();
        for pcap in &self.pcap {
            sent.extend(frames::read(pcap)?);
        }
        let fates = Oracle::new(&routes).count(&sent)?;
        let sources = (0..).zip(&self.pcap);
        let router = Router::start(&Setup {
            cpus: self.cpu.clone(),
            sources: sources.map(|(n, pcap)| source(n, pcap, true)).collect(),
            sink: "net_null99,no-rx=1".into(),
            held: sent.len(),
            memory,
            other_vrfs: self.other_vrfs,
            routes,
        })?;
        drop(sent);
        let seconds = Duration::from_secs_f64(self.seconds);
        let measured = router.measure(Duration::from_millis(400), seconds, fates)?;
        router.stop()?;
        let line = Line {
            name: "ironlane",
            dpdk: eal::version(),
            scene: &scene.name,
            routes: scene.routes(&tables)?.len(),
            measured,
        };
        println!("{}", serde_json::to_string(&line)?);
        Ok(())
    }

    fn memory(&self) -> Memory {
        self.no_huge
            .map_or(Memory::Hugepages { mib: None }, |mib| Memory::NoHuge {
                mib,
            })
    }
}

/// DPDK's name of a source that plays a file; for ever, or once.
pub fn source(number: usize, pcap: &Path, forever: bool) -> String {
    let rest = if forever { ",infinite_rx=1" } else { "" };
    format!("net_pcap{number},rx_pcap={}{rest}", pcap.display())
}

/// Plays files once, each on a port of its own, through a router that has `installed`, and compares each
/// frame with what `wanted` makes of it. Frames may overtake each other; each must leave exactly once.
///
/// # Errors
/// What differs first.
pub fn verify(
    pcaps: &[PathBuf],
    cpu: usize,
    memory: Memory,
    installed: &[Route],
    wanted: &[Route],
) -> Result<Fates, Failure> {
    let oracle = Oracle::new(wanted);
    let mut sent = Vec::new();
    for pcap in pcaps {
        sent.extend(frames::read(pcap)?);
    }
    let fates = oracle.count(&sent)?;
    let out = pcaps[0].with_extension("out.pcap");
    let played = Router::start(&Setup {
        cpus: vec![cpu],
        sources: (0..)
            .zip(pcaps)
            .map(|(n, pcap)| source(n, pcap, false))
            .collect(),
        sink: format!("net_pcap{},tx_pcap={}", pcaps.len(), out.display()),
        held: 0,
        memory,
        other_vrfs: 0,
        routes: installed.to_vec(),
    })
    .and_then(|router| router.finish(fates));
    let got = played.and_then(|()| Ok(frames::read(&out)?));
    std::fs::remove_file(&out).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    same(
        sent.iter().filter_map(|frame| oracle.forwarded(frame)),
        got?,
    )?;
    Ok(fates)
}

/// Whether the same frames are in both, in any order.
///
/// # Errors
/// One that is not.
pub(crate) fn same(
    wanted: impl Iterator<Item = Vec<u8>>,
    got: Vec<Vec<u8>>,
) -> Result<(), Failure> {
    let mut open = std::collections::HashMap::new();
    for frame in wanted {
        *open.entry(frame).or_insert(0_u32) += 1;
    }
    for (index, frame) in got.into_iter().enumerate() {
        match open.get_mut(&frame) {
            Some(count) if *count > 0 => *count -= 1,
            _ => return Err(format!("frame {index} should not be: {frame:02x?}").into()),
        }
    }
    match open.into_iter().find(|(_, count)| *count > 0) {
        Some((frame, _)) => Err(format!("this frame is missing: {frame:02x?}").into()),
        None => Ok(()),
    }
}
