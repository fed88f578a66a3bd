//! Wrong configurations of a right machine, and wrong machines for a right configuration: one clear
//! message with the cure, exit status 1, nothing left behind.
//!
//! The daemon is the real one, on ports without hardware and memory without hugepages, in a network
//! namespace of its own. What needs root is skipped without it, and says so.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ironlane_control::daemon::RunLock;
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, unshare};
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

/// A folder with a configuration, and a thread's own network namespace to run it in.
struct Case {
    folder: TempDir,
    config: PathBuf,
}

impl Case {
    /// `text` comes after a head that keeps this daemon away from others on the machine.
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("r.toml");
        let run = folder.path().join("run");
        let head = format!(
            "daemon.run_dir = {run:?}\ndaemon.socket = {:?}\nlcores.cpus = {}\n\
             dpdk = {{ hugepages = false, memory_mib = 96 }}\nmempool.mbufs = 4095\n",
            run.join("s.sock"),
            first_cpu(),
        );
        std::fs::write(&config, head + text).unwrap();
        Self { folder, config }
    }

    fn replaced(self, from: &str, to: &str) -> Self {
        let text = std::fs::read_to_string(&self.config).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&self.config, text.replace(from, to)).unwrap();
        self
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("run/s.sock")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ironlane"));
        command
            .args(["run", "--config"])
            .arg(&self.config)
            .env_remove("JOURNAL_STREAM");
        command
    }

    /// Runs it; it must fail with a message that contains `wanted`, and leave nothing.
    fn refused(&self, wanted: &str) {
        let before = interfaces();
        let Output { status, stderr, .. } = self.command().output().unwrap();
        let told = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(1), "{told}");
        assert!(told.contains(wanted), "wanted: {wanted}\ntold: {told}");
        assert!(!told.contains("panicked"), "{told}");
        assert!(!self.socket().exists(), "the socket is left");
        assert_eq!(interfaces(), before, "interfaces are left");
    }

    /// Starts it and waits until it answers.
    fn started(&self) -> Daemon {
        let mut child = self.command().stderr(Stdio::piped()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            let ended = child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > end {
                let told = BufReader::new(child.stderr.take().unwrap()).lines();
                let told: Vec<_> = told.map_while(Result::ok).collect();
                panic!("it does not answer ({ended:?}):\n{}", told.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Daemon(child)
    }
}

struct Daemon(Child);

impl Daemon {
    fn signal(&mut self, signal: nix::sys::signal::Signal) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn first_cpu() -> usize {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
    (0..CpuSet::count())
        .find(|&cpu| allowed.is_set(cpu) == Ok(true))
        .unwrap()
}

/// Interfaces of this thread's namespace.
fn interfaces() -> Vec<String> {
    let file = File::open("/proc/thread-self/net/dev").unwrap();
    let names = BufReader::new(file).lines().map_while(Result::ok);
    names
        .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
        .collect()
}

/// Moves this test's thread to a namespace of its own, which its children inherit. False, with a
/// word, where that is not allowed.
fn alone() -> bool {
    let root = geteuid().is_root() && Path::new("/dev/net/tun").exists();
    if !root || unshare(CloneFlags::CLONE_NEWNET).is_err() {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        println!("SKIP {name}: needs root and /dev/net/tun");
        return false;
    }
    true
}

const PORT: &str = "[[port]]\nname = \"p0\"\ndevice = \"net_null0\"\n";

#[test]
fn a_typing_error_is_told_with_its_place() {
    let case = Case::new("[[port]]\nname = \"p0\"\ndevcie = \"net_null0\"\n");
    case.refused("r.toml:8:1: unknown key \"devcie\" in [[port]]; did you mean \"device\"?");
}

#[test]
fn an_lcore_that_is_not_there() {
    if alone() {
        let cpus = format!("lcores.cpus = {}\n", first_cpu());
        Case::new(PORT)
            .replaced(&cpus, "lcores.cpus = 126\n")
            .refused("[lcores] cpus: there is no CPU 126 for this process; it may use ");
    }
}

#[test]
fn no_hugepages() {
    if alone() {
        Case::new(PORT)
            .replaced("hugepages = false, memory_mib = 96", "memory_mib = 1048576")
            .refused("MiB are free; run: sysctl -w vm.nr_hugepages=");
    }
}

#[test]
fn a_pci_device_that_is_not_there() {
    if alone() {
        Case::new("[[port]]\nname = \"p0\"\ndevice = \"ffff:ff:1f.7\"\n")
            .refused("port p0: there is no PCI device ffff:ff:1f.7; see: lspci -D");
    }
}

#[test]
fn a_device_that_dpdk_does_not_know() {
    if alone() {
        let case = Case::new("[[port]]\nname = \"p0\"\ndevice = \"net_unheard0\"\n");
        case.refused("p0");
    }
}

#[test]
fn a_tap_whose_name_is_taken() {
    if alone() {
        Case::new("[[port]]\nname = \"lo\"\ndevice = \"net_null0\"\n")
            .refused("[[port]] tap: interface lo exists already; choose another name");
    }
}

#[test]
fn a_namespace_that_is_not_there() {
    if alone() {
        Case::new(&format!("daemon.netns = \"no-such-ns\"\n{PORT}"))
            .refused("there is no network namespace /run/netns/no-such-ns; run: ip netns add");
    }
}

#[test]
fn a_group_that_is_not_there() {
    if alone() {
        Case::new(&format!("daemon.socket_group = \"no-such-group\"\n{PORT}"))
            .refused("no such group; add it with: groupadd --system no-such-group");
    }
}

#[test]
fn a_second_daemon() {
    if alone() {
        let case = Case::new(PORT);
        let lock = RunLock::take(&case.folder.path().join("run")).unwrap();
        let pid = std::process::id();
        case.refused(&format!("another ironlane runs (pid {pid})"));
        drop(lock);
    }
}

#[test]
fn it_starts_at_once_after_a_kill_and_leaves_nothing_after_a_stop() {
    use nix::sys::signal::Signal::{SIGINT, SIGKILL, SIGTERM};
    if !alone() {
        return;
    }
    let before = interfaces();
    let two = "[[port]]\nname = \"p1\"\ndevice = \"net_tap0,iface=kill0\"\n";
    let case = Case::new(&format!("{PORT}{two}"));
    assert_eq!(case.started().signal(SIGKILL), None, "killed");
    assert!(case.socket().exists(), "a killed daemon leaves its socket");
    for signal in [SIGTERM, SIGINT] {
        let mut daemon = case.started();
        assert!(interfaces().contains(&"p1".to_owned()));
        assert_eq!(daemon.signal(signal), Some(0), "{signal}");
        assert_eq!(interfaces(), before, "what it made is gone");
        assert!(!case.socket().exists());
    }
}
