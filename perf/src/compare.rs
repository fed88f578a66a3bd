//! `compare`: what another process has sent, against what the oracle makes of the frames it was given.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;

use crate::frames;
use crate::oracle::{Oracle, SINK_MAC};
use crate::play::{Which, mac};

type Failure = Box<dyn std::error::Error>;

/// Compares a file of frames that left a router with the frames of a scene, which it was given again and
/// again: each that left must be one that should, and each that should must have left at least once.
/// Multicast is the router's own, and left aside.
#[derive(Args)]
pub struct CompareArgs {
    #[command(flatten)]
    which: Which,
    /// The frames that were played.
    #[arg(long)]
    pcap: PathBuf,
    /// The frames that left.
    #[arg(long)]
    got: PathBuf,
    /// MAC address that they left with, instead of that of the rig's sink.
    #[arg(long, value_parser = mac)]
    from_mac: Option<[u8; 6]>,
}

impl CompareArgs {
    /// Does it.
    ///
    /// # Errors
    /// What differs first.
    pub fn run(&self) -> Result<(), Failure> {
        let (scene, tables) = self.which.load()?;
        let oracle = Oracle::new(&scene.routes(&tables)?);
        let from = self.from_mac.unwrap_or(SINK_MAC);
        let mut wanted: HashMap<Vec<u8>, bool> = HashMap::new();
        for frame in frames::read(&self.pcap)? {
            if let Some(mut out) = oracle.forwarded(&frame) {
                out[6..12].copy_from_slice(&from);
                wanted.insert(out, false);
            }
        }
        let mut count = 0_usize;
        for (index, frame) in frames::read(&self.got)?.into_iter().enumerate() {
            if frame[0] & 1 == 1 {
                continue;
            }
            count += 1;
            match wanted.get_mut(&frame) {
                Some(met) => *met = true,
                None => return Err(format!("frame {index} should not be: {frame:02x?}").into()),
            }
        }
        if let Some((frame, _)) = wanted.iter().find(|(_, met)| !**met) {
            return Err(format!("of {count} frames none is this: {frame:02x?}").into());
        }
        println!(
            "{}: all right, {count} frames, {} kinds",
            scene.name,
            wanted.len()
        );
        Ok(())
    }
}
