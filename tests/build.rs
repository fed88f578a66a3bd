//! Writes a test for each case of `data/malformed.json`, so that each has a name, is counted, and can
//! be run alone. `whole_dp/malformed.rs` takes them in.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=data/malformed.json");
    let json = fs::read_to_string("data/malformed.json").expect("tests/data/malformed.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(&json).expect("malformed.json");
    let mut tests = String::new();
    for case in &cases {
        let id = case["id"].as_str().expect("every case has an id");
        let name = id
            .to_lowercase()
            .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        writeln!(
            tests,
            "#[test]\nfn {name}() {{\n    super::case({id:?});\n}}\n"
        )
        .expect("memory");
    }
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("malformed.rs"), tests).expect("OUT_DIR can be written");
}
