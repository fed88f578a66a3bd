//! Network namespaces without names, which go with the threads that made them.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use nix::sched::{CloneFlags, unshare};

/// Puts the calling thread in a namespace of its own. False, and said why, where a tap cannot be
/// made there: the test is to be skipped.
pub fn can_make_taps(test: &str) -> bool {
    let why = match unshare(CloneFlags::CLONE_NEWNET) {
        Err(errno) => format!("no network namespace: {errno}"),
        Ok(()) if !Path::new("/dev/net/tun").exists() => "no /dev/net/tun".to_owned(),
        Ok(()) => return true,
    };
    println!("SKIP dataplane/{test}: {why}");
    false
}

/// Runs a command in the namespace of the calling thread.
pub fn run(line: &str) {
    let mut words = line.split_whitespace();
    let status = Command::new(words.next().unwrap())
        .args(words)
        .status()
        .expect(line);
    assert!(status.success(), "{line}");
}

/// A thread in a network namespace of its own, which runs commands there.
pub struct Netns {
    lines: Sender<String>,
    done: Receiver<()>,
    /// Names the namespace for `ip link set X netns`.
    pub tid: i32,
}

impl Netns {
    pub fn new() -> Self {
        let (lines, inbox) = channel::<String>();
        let (reply, done) = channel();
        let (tell, tid) = channel();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            tell.send(nix::unistd::gettid().as_raw()).unwrap();
            for line in inbox {
                run(&line);
                reply.send(()).unwrap();
            }
        });
        Self {
            lines,
            done,
            tid: tid.recv().unwrap(),
        }
    }

    /// Runs a command there.
    pub fn run(&self, line: &str) {
        self.lines.send(line.to_owned()).unwrap();
        self.done.recv().expect(line);
    }
}
