//! The real daemon on ports without hardware and memory without hugepages, in a network namespace of
//! its own. What needs root is skipped without it, and says so.
#![allow(dead_code, reason = "each test file uses another part of it")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, unshare};
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

/// A folder with a configuration, and a thread's own network namespace to run it in.
pub struct Case {
    pub folder: TempDir,
    config: PathBuf,
}

impl Case {
    /// `text` comes after a head that keeps this daemon away from others on the machine.
    pub fn new(text: &str) -> Self {
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

    pub fn replaced(self, from: &str, to: &str) -> Self {
        let text = std::fs::read_to_string(&self.config).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&self.config, text.replace(from, to)).unwrap();
        self
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("run/s.sock")
    }

    /// Runs another command of the program against this daemon.
    pub fn ask(&self, line: &str) -> Output {
        self.asking(line).output().unwrap()
    }

    /// That command, to be run.
    pub fn asking(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ironlane"));
        command
            .args(line.split_whitespace())
            .env("IRONLANE_SOCKET", self.socket());
        command
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
    pub fn refused(&self, wanted: &str) {
        self.refused_within(&[], wanted);
    }

    /// That, with the program run by another one.
    pub fn refused_within(&self, runner: &[&str], wanted: &str) {
        let before = interfaces();
        let mut command = self.command();
        if let [program, arguments @ ..] = runner {
            let mut by = Command::new(program);
            by.args(arguments).arg(command.get_program());
            by.args(command.get_args()).env_remove("JOURNAL_STREAM");
            command = by;
        }
        let Output { status, stderr, .. } = command.output().unwrap();
        let told = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(1), "{told}");
        assert!(told.contains(wanted), "wanted: {wanted}\ntold: {told}");
        assert!(!told.contains("panicked"), "{told}");
        assert!(!self.socket().exists(), "the socket is left");
        assert_eq!(interfaces(), before, "interfaces are left");
    }

    /// Starts it and waits until it has its lock.
    pub fn starting(&self) -> Daemon {
        let child = self.command().stderr(Stdio::piped()).spawn().unwrap();
        let lock = self.folder.path().join("run/ironlane.lock");
        let end = Instant::now() + Duration::from_secs(60);
        while std::fs::read_to_string(&lock).map_or(true, |pid| pid.is_empty()) {
            assert!(Instant::now() < end, "it does not take its lock");
            std::thread::sleep(Duration::from_millis(1));
        }
        Daemon(child)
    }

    /// Starts it and waits until it answers.
    pub fn started(&self) -> Daemon {
        self.started_with(&[])
    }

    /// That, with more in its environment.
    pub fn started_with(&self, environment: &[(&str, &str)]) -> Daemon {
        let mut command = self.command();
        command.envs(environment.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
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

pub struct Daemon(Child);

impl Daemon {
    pub fn signal(&mut self, signal: nix::sys::signal::Signal) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
        self.0.wait().unwrap().code()
    }

    /// What it said until its end.
    pub fn told(&mut self) -> String {
        let mut told = String::new();
        let mut stderr = self.0.stderr.take().unwrap();
        stderr.read_to_string(&mut told).unwrap();
        told
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn first_cpu() -> usize {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
    (0..CpuSet::count())
        .find(|&cpu| allowed.is_set(cpu) == Ok(true))
        .unwrap()
}

/// Interfaces of this thread's namespace.
pub fn interfaces() -> Vec<String> {
    let file = File::open("/proc/thread-self/net/dev").unwrap();
    let names = BufReader::new(file).lines().map_while(Result::ok);
    names
        .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
        .collect()
}

/// Moves this test's thread to a namespace of its own, which its children inherit. False, with a
/// word, where that is not allowed.
pub fn alone() -> bool {
    let root = geteuid().is_root() && Path::new("/dev/net/tun").exists();
    if !root || unshare(CloneFlags::CLONE_NEWNET).is_err() {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        println!("SKIP daemon/{name}: needs root and /dev/net/tun");
        return false;
    }
    true
}
