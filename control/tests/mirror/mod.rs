//! A mirror in a network namespace of its own, with veth pairs for ports.
//!
//! ```text
//!            namespace "r"                         namespace "h"
//!   [mirror] p0 192.0.2.1/24  2001:db8:0::1/64 ---- q0 .2 .3 .4
//!            p1 198.51.100.1/24 2001:db8:1::1/64 --- q1 .2 .3 .4
//!            d0 203.0.113.1/24   no port: Linux forwards
//! ```
#![allow(dead_code)] // each test program uses a part

use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ironlane_control::netlink::{
    Mirror, MirrorHandle, MirrorOptions, MirrorStatus, PortEvent, kernel_rib_in,
};
use ironlane_fib::{AdjacencyKind, PortId, Tables, VrfId, Writer};
use ironlane_rcu::Domain;
use ironlane_rib::{Explanation, IfIndex, PortBinding};

pub mod compare;
pub mod route_get;

/// How long a condition is waited for.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Whether namespaces can be made; says why not, by the name of the calling thread's test.
pub fn allowed() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        println!("SKIP mirror/{name}: network namespaces need root");
    }
    root
}

/// A network namespace, deleted at the end.
#[derive(Debug)]
pub struct Ns(pub String);

impl Ns {
    fn new(role: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only the number matters.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let this = Self(format!("ilmir{role}{}-{number}", std::process::id()));
        sh(&format!(
            "ip netns add {0} && ip -n {0} link set lo up",
            this.0
        ));
        this
    }

    /// `ip -n NAMESPACE ...`, which must succeed.
    pub fn ip(&self, arguments: &str) -> String {
        sh(&format!("ip -n {} {arguments}", self.0))
    }

    /// Many commands at once, which must all succeed.
    pub fn batch(&self, commands: &str) {
        let mut child = Command::new("ip")
            .args(["-n", &self.0, "-batch", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(commands.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Many commands at once, of which the kernel may refuse some; `ip` must understand all. It
    /// takes no `-6` in a batch: the family is that of the addresses, and `::/0` is a default route.
    pub fn try_batch(&self, commands: &str) {
        let mut child = Command::new("ip")
            .args(["-n", &self.0, "-force", "-batch", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, commands) = (child.stdin.take().unwrap(), commands.to_owned());
        let writer = std::thread::spawn(move || stdin.write_all(commands.as_bytes()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let unknown = errors.lines().find(|line| line.contains("unknown"));
        assert_eq!(unknown, None, "a command that no kernel saw");
    }

    /// A command inside the namespace, which must succeed.
    pub fn run(&self, command: &str) -> String {
        sh(&format!("ip netns exec {} {command}", self.0))
    }

    /// Where the namespace is.
    pub fn path(&self) -> std::path::PathBuf {
        format!("/run/netns/{}", self.0).into()
    }

    /// The number of an interface.
    pub fn ifindex(&self, name: &str) -> IfIndex {
        let line = self.ip(&format!("-o link show {name}"));
        IfIndex(line.split(':').next().unwrap().trim().parse().unwrap())
    }
}

impl Drop for Ns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Runs a command that must succeed and gives what it printed.
pub fn sh(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A mirror and its surroundings. Fields go in this order: the mirror before its namespace.
pub struct World {
    pub mirror: Mirror,
    pub handle: MirrorHandle,
    pub tables: Arc<Tables>,
    pub domain: Arc<Domain>,
    pub ports: Receiver<PortEvent>,
    pub r: Ns,
    pub h: Ns,
}

/// Quiet awaited before audits, in tests.
pub const AUDIT_DELAY: Duration = Duration::from_millis(50);

impl World {
    /// With both ports up, resolved by nobody yet.
    pub fn new() -> Self {
        Self::with(MirrorOptions {
            audit_delay: AUDIT_DELAY,
            audit_interval: None,
            refresh_interval: None,
            ..MirrorOptions::default()
        })
    }

    /// With these options, but for the namespace.
    pub fn with(options: MirrorOptions) -> Self {
        let (r, h) = (Ns::new("r"), Ns::new("h"));
        for sysctl in ["ipv4.ip_forward", "ipv6.conf.all.forwarding"] {
            r.run(&format!("sysctl -qw net.{sysctl}=1"));
        }
        for (port, net) in [(0, "192.0.2"), (1, "198.51.100")] {
            let (mac, peer) = (
                format!("02:00:00:00:0{port}:01"),
                format!("02:00:00:00:0{port}:02"),
            );
            r.ip(&format!(
                "link add p{port} address {mac} type veth peer name q{port} address {peer} netns {}",
                h.0
            ));
            h.ip(&format!("link set q{port} up"));
            r.ip(&format!("link set p{port} up"));
            r.ip(&format!("address add {net}.1/24 dev p{port}"));
            r.ip(&format!(
                "address add 2001:db8:{port}::1/64 dev p{port} nodad"
            ));
            for host in 2..=4 {
                h.ip(&format!("address add {net}.{host}/24 dev q{port}"));
                h.ip(&format!(
                    "address add 2001:db8:{port}::{host}/64 dev q{port} nodad"
                ));
            }
        }
        r.ip("link add d0 type veth peer name d1");
        r.ip("link set d0 up");
        r.ip("link set d1 up");
        r.ip("address add 203.0.113.1/24 dev d0");

        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
        let (sender, ports) = channel();
        let options = MirrorOptions {
            netns: Some(r.path()),
            ..options
        };
        let listener = Box::new(move |event| {
            let _ = sender.send(event);
        });
        let mirror = Mirror::start(options, writer, listener).unwrap();
        let world = Self {
            handle: mirror.handle(),
            mirror,
            tables,
            domain,
            ports,
            r,
            h,
        };
        for port in [0, 1] {
            world.bind(port);
        }
        assert!(
            world.handle.synchronised(LIMIT).unwrap(),
            "{:?}",
            world.status()
        );
        world
    }

    /// Binds the interface `pN` to port N.
    pub fn bind(&self, port: u16) {
        let ifindex = self.r.ifindex(&format!("p{port}"));
        let binding = PortBinding {
            port: PortId(port),
            mac: Some([2, 0, 0, 0, port as u8, 1]),
            mtu: 1500,
        };
        self.handle
            .with_blocking(move |state| state.bind_port(ifindex, binding))
            .unwrap();
    }

    pub fn status(&self) -> MirrorStatus {
        self.handle.with_blocking(|state| state.status()).unwrap()
    }

    /// Waits for a condition; prints the state of affairs if it never comes.
    pub fn wait_for(&self, what: &str, mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            if start.elapsed() > LIMIT {
                let (ip4, ip6) = (self.r.ip("route show table all"), self.r.ip("-6 route"));
                panic!("waited for {what}; {:#?}\n{ip4}\n{ip6}", self.status());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the tables answer as a fresh look at the kernel says they should, for every
    /// address.
    pub fn settle(&self, what: &str) {
        let mut difference = None;
        let start = Instant::now();
        loop {
            let before = difference.take();
            difference = self.difference();
            match &difference {
                None => return,
                Some(text) if start.elapsed() > LIMIT && before == difference => {
                    let (ip4, ip6) = (self.r.ip("route show table all"), self.r.ip("-6 route"));
                    panic!("{what}: {text}\n{:#?}\n{ip4}\n{ip6}", self.status());
                }
                Some(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// The first difference between the tables and a fresh look at the kernel.
    pub fn difference(&self) -> Option<String> {
        let bindings = self
            .handle
            .with_blocking(|s| s.rib.bindings().collect())
            .unwrap();
        let mut fresh = kernel_rib_in(Some(&self.r.path()), VrfId::DEFAULT, bindings).unwrap();
        compare::difference(&self.tables, &self.domain, &fresh.expectation())
    }

    /// What the RIB says of an address.
    pub fn explain(&self, address: &str) -> Explanation {
        let address: IpAddr = address.parse().unwrap();
        self.handle
            .with_blocking(move |state| state.rib.explain(address))
            .unwrap()
    }

    /// What the tables answer for an address: a single adjacency, or the members of a group.
    pub fn lookup(&self, address: &str) -> Vec<ironlane_fib::Adjacency> {
        let mut reader = Domain::register(&self.domain).unwrap();
        let guard = reader.read();
        compare::lookup(&self.tables, &guard, address.parse().unwrap())
    }

    /// The kind of adjacency that the tables answer.
    pub fn kind(&self, address: &str) -> AdjacencyKind {
        self.lookup(address)[0].kind()
    }

    /// The ports that packets to an address leave by, whatever the neighbour.
    pub fn leaves_by(&self, address: &str) -> Vec<u16> {
        let mut ports: Vec<_> = self
            .lookup(address)
            .iter()
            .map(|hop| hop.port().0)
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// Waits until the tables answer so.
    pub fn wait_kind(&self, address: &str, kind: AdjacencyKind) {
        self.wait_for(&format!("{address} to be {kind}"), || {
            self.kind(address) == kind
        });
    }

    /// As an lcore does when traffic uses an adjacency.
    pub fn use_adjacency(&self, address: &str) {
        let mut reader = Domain::register(&self.domain).unwrap();
        let guard = reader.read();
        compare::mark_used(&self.tables, &guard, address.parse().unwrap());
    }
}
