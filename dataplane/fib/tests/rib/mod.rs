//! Real tables: a small one in this folder, full ones beside the checkout.
#![allow(dead_code)] // each test uses its part

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ipnet::IpNet;

/// A file of `tests/data`.
pub fn own(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file of the larger collection, unpacked by `xz`: `$IRONLANE_SHARED`, or `shared` beside the
/// checkout. Without it says so, in the form that the test script counts, and returns `None`.
pub fn shared(name: &str) -> Option<String> {
    let root = std::env::var_os("IRONLANE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = root.join("data/rib").join(name);
    if !path.is_file() {
        println!(
            "SKIP fib/{name}: {} is not there; the small table was tested",
            path.display()
        );
        return None;
    }
    let output = match Command::new("xz").arg("-dc").arg(&path).output() {
        Ok(output) => output,
        Err(error) => {
            println!("SKIP fib/{name}: xz does not run ({error}); install xz-utils");
            return None;
        }
    };
    assert!(
        output.status.success(),
        "xz -dc {}: {}",
        path.display(),
        output.status
    );
    Some(String::from_utf8(output.stdout).expect("a text file"))
}

/// `prefix nexthop`, one a line.
pub fn routes(text: &str) -> impl Iterator<Item = (IpNet, u32)> {
    text.lines().map(|line| {
        let (prefix, nexthop) = line.split_once(' ').expect("two fields");
        (
            prefix.parse().expect("a prefix"),
            nexthop.parse().expect("a number"),
        )
    })
}

/// `address prefix nexthop`, or `address - -`.
pub fn answers(text: &str) -> impl Iterator<Item = (IpAddr, Option<u32>)> {
    text.lines().map(|line| {
        let mut fields = line.split(' ');
        let address = fields
            .next()
            .expect("three fields")
            .parse()
            .expect("an address");
        let nexthop = fields.nth(1).expect("three fields");
        (
            address,
            (nexthop != "-").then(|| nexthop.parse().expect("a number")),
        )
    })
}

/// `second A|W prefix nexthop`: announcements, and withdrawals with `None`.
pub fn updates(text: &str) -> impl Iterator<Item = (IpNet, Option<u32>)> {
    text.lines().map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let nexthop = (fields[1] == "A").then(|| fields[3].parse().expect("a number"));
        (fields[2].parse().expect("a prefix"), nexthop)
    })
}
