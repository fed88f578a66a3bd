//! Where test data is: small files in this project, more beside the checkout.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Capture;

/// Files that every clone has: `tests/data`.
pub fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

/// The larger collection: `$IRONLANE_SHARED`, or `shared` beside the checkout. `None` if it is
/// not there; a test that needs it then prints a line that starts with `SKIP` and passes.
pub fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("IRONLANE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    path.join("data").is_dir().then_some(path)
}

/// What is asked of a router for one frame of `malformed.pcap`.
#[derive(Clone, Debug, Deserialize)]
pub struct Expectation {
    /// Number of the frame, from 0.
    pub index: usize,
    /// Name of the case.
    pub id: String,
    /// Group of cases.
    pub category: String,
    /// What the RFC asks for: `drop`, `forward` or `punt`.
    pub action: String,
    /// Why, in the words of that collection.
    pub reason: String,
    /// The RFC's section.
    pub rfc: String,
    /// Type and code of the ICMP error to send, if any.
    pub icmp: Option<[u8; 2]>,
    /// Other conforming actions.
    pub also_ok: Vec<String>,
    /// Remarks.
    pub note: String,
}

/// The malformed frames with what is asked for each.
pub fn malformed() -> Vec<(Expectation, Vec<u8>)> {
    let json = std::fs::read_to_string(own().join("malformed.json")).expect("tests/data is there");
    let expectations: Vec<Expectation> = serde_json::from_str(&json).expect("malformed.json");
    let capture = Capture::open(&own().join("malformed.pcap")).expect("malformed.pcap");
    assert_eq!(expectations.len(), capture.frames.len());
    expectations.into_iter().zip(capture.frames).collect()
}
