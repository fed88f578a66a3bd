//! Two processes with one file prefix: the second says who the first is; a kill leaves no lock.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use ironlane_dataplane::eal::{Eal, EalConfig, EalError};

/// Set in a process that this test starts from its own program.
const CHILD: &str = "IRONLANE_TEST_PREFIX";

fn config(prefix: &str) -> EalConfig {
    EalConfig {
        file_prefix: Some(prefix.to_owned()),
        ..EalConfig::without_hugepages(32)
    }
}

/// A process that holds the prefix until it is killed.
fn start_other(prefix: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--exact", "a_second_process_names_the_first"])
        .env(CHILD, prefix)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let started = lines
        .map_while(Result::ok)
        .any(|line| line.contains("EAL is up"));
    assert!(started, "the other process did not start EAL");
    child
}

#[test]
fn a_second_process_names_the_first() {
    if let Ok(prefix) = std::env::var(CHILD) {
        Eal::start(&config(&prefix)).unwrap();
        println!("\nEAL is up");
        loop {
            thread::sleep(Duration::from_secs(60));
        }
    }
    let prefix = format!("iltest{}", std::process::id());
    let mut other = start_other(&prefix);
    let refused = Eal::start(&config(&prefix)).unwrap_err();
    assert!(
        matches!(&refused, EalError::PrefixInUse { pid, .. } if *pid == other.id() as i32),
        "{refused}"
    );
    other.kill().unwrap();
    other.wait().unwrap();

    let eal = Eal::start(&config(&prefix)).expect("works at once after a kill");
    eal.shutdown();
    let again = Eal::start(&config(&prefix));
    assert!(matches!(again, Err(EalError::StartedBefore)));
    let _ = std::fs::remove_dir_all(format!("/var/run/dpdk/{prefix}"));
}
