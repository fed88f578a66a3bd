//! Two sites: a charon with the plugin in a namespace each, the control side of a router for each in
//! this process, over a data plane without device. Lcores are played by the tests.

#![allow(dead_code, reason = "each test file uses another part of it")]

mod plugin;

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ironlane_control::api::Socket;
use ironlane_control::ipsec::charon::Shared;
use ironlane_control::ipsec::model::{Model, SaView, Tables};
use ironlane_control::ipsec::{Ipsec, boot_number};
use ironlane_ipsec::{Direction, Ipsec as IpsecTables, SaSpec, Writer};
use ironlane_rcu::Domain;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const CHARON: &str = "/usr/lib/ipsec/charon";
const PATIENCE: Duration = Duration::from_secs(20);

/// Both sites. Ends all that it began.
pub struct Sites {
    pub a: Site,
    pub b: Site,
    _folder: TempDir,
}

/// One site.
pub struct Site {
    name: &'static str,
    netns: Netns,
    folder: PathBuf,
    charon: Child,
    runtime: Runtime,
    pub tables: Arc<IpsecTables>,
    pub shared: Shared,
    server: Option<Ipsec>,
}

/// A network namespace, until it is dropped.
struct Netns(String);

impl Netns {
    fn add(name: String) -> Self {
        run(&format!("ip netns add {name}"));
        let netns = Self(name);
        run(&format!("ip -n {} link set lo up", netns.0));
        netns
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = try_run(&format!("ip netns del {}", self.0));
    }
}

/// What a test wants to be different.
#[derive(Clone, Copy, Default)]
pub struct Wanted {
    /// Lines for the child of both connections.
    pub child: &'static str,
    /// Whether the crypto device of b refuses all.
    pub b_refuses: bool,
}

/// Runs a command and returns what it says; panics with that if it fails.
pub fn run(command: &str) -> String {
    let output = try_run(command);
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command}: {text}");
    text
}

pub fn try_run(command: &str) -> Output {
    Command::new("sh").args(["-c", command]).output().unwrap()
}

/// Waits until `found` finds something.
pub fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the machine lacks for these tests.
fn lack() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root for network namespaces");
    }
    let there = Path::new(CHARON).exists() && try_run("command -v swanctl").status.success();
    (!there).then_some("strongSwan is not installed; run scripts/setup.sh")
}

impl Sites {
    /// Both sites, connected and with charon ready; `None` if the machine lacks something, which is said.
    pub fn up(test: &str, wanted: Wanted) -> Option<Self> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let skip = |why: &str| {
            println!("SKIP charon/{test}: {why}");
            None
        };
        if let Some(lack) = lack() {
            return skip(lack);
        }
        let plugin = match plugin::built() {
            Ok(plugin) => plugin,
            Err(why) => return skip(&why),
        };
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::tempdir().unwrap();
        let name = |site| format!("ct{}-{number}{site}", std::process::id());
        let (netns_a, netns_b) = (Netns::add(name("a")), Netns::add(name("b")));
        let (a, b) = (&netns_a.0, &netns_b.0);
        run(&format!(
            "ip -n {a} link add eth0 type veth peer name eth0 netns {b}"
        ));
        for (name, host) in [(a, 1), (b, 2)] {
            run(&format!(
                "ip -n {name} addr add 10.0.255.{host}/24 dev eth0 && ip -n {name} link set eth0 up"
            ));
        }
        let up = |index, netns, refuses| {
            Site::up(index, netns, folder.path(), plugin, wanted.child, refuses)
        };
        Some(Self {
            a: up(0, netns_a, false),
            b: up(1, netns_b, wanted.b_refuses),
            _folder: folder,
        })
    }
}

fn tables(refuses: bool) -> (Arc<IpsecTables>, Shared) {
    let tables = Arc::new(IpsecTables::new(&Domain::new()));
    let device = move |_: &SaSpec| match refuses {
        true => Err("it is played by a test, and refuses".to_owned()),
        false => Ok(()),
    };
    let writer = Writer::new(Arc::clone(&tables), device);
    let model = Model::new(Box::new(Tables::new(writer, || 1000)));
    (tables, Shared::new(model, boot_number()))
}

/// Starts charon, in mounts of its own: /run for its pid file, the plugin beside Debian's.
fn start_charon(netns: &Netns, folder: &Path) -> Child {
    // For plugins/charon/sanitize.sh.
    let under = std::env::var("IRONLANE_CHARON_UNDER").unwrap_or_default();
    let script = format!(
        "mount -t tmpfs none /run && mount --bind {}/plugins /usr/lib/ipsec/plugins && exec {under} {CHARON}",
        folder.display()
    );
    let log = fs::File::create(folder.join("charon.out")).unwrap();
    Command::new("ip")
        .args(["netns", "exec", &netns.0, "sh", "-c", &script])
        .env("STRONGSWAN_CONF", folder.join("strongswan.conf"))
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Site {
    fn up(
        index: usize,
        netns: Netns,
        folder: &Path,
        plugin: &Path,
        child: &str,
        refuses: bool,
    ) -> Self {
        let name = ["a", "b"][index];
        let folder = folder.join(name);
        fs::create_dir_all(folder.join("swanctl")).unwrap();
        let at = folder.display();
        fs::write(
            folder.join("strongswan.conf"),
            format!(
                "charon {{\n load = random nonce openssl sha2 hmac kdf pem pkcs1 x509 pubkey kernel-ironlane kernel-netlink \
                 socket-default vici\n filelog {{ f {{\n path = {at}/charon.log\n flush_line = yes\n \
                 time_format = %H:%M:%S\n time_add_ms = yes\n knl = 2\n }} }}\n plugins {{\n vici {{ socket = \
                 unix://{at}/vici }}\n kernel-ironlane {{ socket = {at}/ipsec.sock }}\n }} }}\n"
            ),
        )
        .unwrap();
        let (me, peer) = (index + 1, 2 - index);
        fs::write(
            folder.join("swanctl/swanctl.conf"),
            format!(
                "connections {{ s {{\n local_addrs = 10.0.255.{me}\n remote_addrs = 10.0.255.{peer}\n version = \
                 2\n proposals = aes128gcm16-prfsha256-ecp256\n local {{ auth = psk }}\n remote {{ auth = psk \
                 }}\n children {{ c {{\n esp_proposals = aes128gcm16\n local_ts = 192.168.{me}.0/24\n remote_ts \
                 = 192.168.{peer}.0/24\n {child}\n }} }} }} }}\nsecrets {{ ike {{ secret = \"not a secret\" }} }}\n"
            ),
        )
        .unwrap();
        let (tables, shared) = tables(refuses);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let plugins = folder.join("plugins");
        run(&format!(
            "mkdir {plugins} && cp /usr/lib/ipsec/plugins/*.so {plugins} && cp {plugin} {plugins}",
            plugins = plugins.display(),
            plugin = plugin.display()
        ));
        let charon = start_charon(&netns, &folder);
        let mut site = Self {
            name,
            netns,
            folder,
            charon,
            runtime,
            tables,
            shared,
            server: None,
        };
        site.listen();
        site.load();
        site
    }

    /// Loads the configuration as soon as charon is there.
    fn load(&self) {
        wait_for("charon listens", || {
            UnixStream::connect(self.vici()).is_ok().then_some(())
        });
        self.wait_for_log("ironlane: connected to Ironlane");
        self.swanctl(&format!(
            "--load-all --noprompt -f {}/swanctl/swanctl.conf",
            self.folder.display()
        ));
    }

    /// charon's own socket.
    pub fn vici(&self) -> PathBuf {
        self.folder.join("vici")
    }

    /// charon is killed, so that it can tell nobody.
    pub fn kill_charon(&mut self) {
        self.charon.kill().unwrap();
        self.charon.wait().unwrap();
    }

    /// charon ends as an administrator ends it, so that the plugin takes itself down, too, and is then asked for leaks
    /// by who looks for them. It is killed if it does not.
    fn end_charon(&mut self) {
        if !matches!(self.charon.try_wait(), Ok(None)) {
            return; // it has ended, and its number may be another's
        }
        let end = Instant::now() + PATIENCE;
        let _ = try_run(&format!("kill -TERM {}", self.charon.id()));
        while matches!(self.charon.try_wait(), Ok(None)) {
            if Instant::now() > end {
                println!("--- charon of {} had to be killed", self.name);
                // Of our own child, by its handle.
                let _ = self.charon.kill();
                let _ = self.charon.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Another charon, after one that was killed.
    pub fn start_charon(&mut self) {
        self.charon = start_charon(&self.netns, &self.folder);
        self.load();
    }

    /// The router's side listens.
    pub fn listen(&mut self) {
        let socket = Socket::bind(&self.folder.join("ipsec.sock"), None).unwrap();
        let (runtime, shared) = (self.runtime.handle(), self.shared.clone());
        self.server = Some(Ipsec::start(runtime, shared, Some(socket), None, None).unwrap());
    }

    /// It neither listens nor answers any more, as if it were killed or stuck.
    pub fn hang_up(&mut self) {
        self.server = None;
    }

    /// Another run of the router, with empty tables.
    pub fn restart(&mut self) {
        self.hang_up();
        (self.tables, self.shared) = tables(false);
        self.listen();
    }

    /// The SAs, by direction.
    pub fn sas(&self, direction: Direction) -> Vec<SaView> {
        let mut sas = self.shared.with(|model| model.sas(Instant::now()));
        sas.retain(|sa| sa.spec.direction == direction);
        sas
    }

    /// The SA by which packets leave.
    pub fn sending(&self) -> Option<SaView> {
        let (sas, policies) = self.shared.with(|m| (m.sas(Instant::now()), m.policies()));
        let bound = policies.iter().find_map(|policy| policy.sa)?;
        sas.into_iter().find(|sa| sa.id == bound)
    }

    /// An lcore counts a packet.
    pub fn count(&self, sa: &SaView, packets: u64, bytes: u64) {
        let mut reader = Domain::register(self.tables.domain()).unwrap();
        let guard = reader.read();
        let sa = self.tables.sa(&guard, sa.id).expect("the SA is there");
        for _ in 0..packets {
            sa.state().count(sa.id(), bytes, 990, self.tables.events());
        }
    }

    /// Runs swanctl; its command stands before the socket.
    pub fn swanctl(&self, line: &str) -> String {
        run(&self.swanctl_line(line))
    }

    pub fn try_swanctl(&self, line: &str) -> Output {
        try_run(&self.swanctl_line(line))
    }

    fn swanctl_line(&self, line: &str) -> String {
        format!("swanctl {line} --uri unix://{}/vici", self.folder.display())
    }

    /// Runs a command in the namespace.
    pub fn on(&self, command: &str) -> String {
        run(&format!("ip netns exec {} {command}", self.netns.0))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("charon.log")).unwrap_or_default()
    }

    pub fn wait_for_log(&self, text: &str) {
        wait_for(&format!("{} logs \"{text}\"", self.name), || {
            self.log().contains(text).then_some(())
        });
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- charon of {}\n{}", self.name, self.log());
        }
        self.end_charon();
    }
}

/// Whether what `from` sends by is what `to` can decrypt: the same name, the same keys.
pub fn agree(from: &Site, to: &Site) -> bool {
    let Some(out) = from.sending() else {
        return false;
    };
    to.sas(Direction::In).iter().any(|sa| {
        sa.key == out.key
            && sa.spec.algorithm == out.spec.algorithm
            && sa.spec.enc_key == out.spec.enc_key
            && sa.spec.auth_key == out.spec.auth_key
    })
}
