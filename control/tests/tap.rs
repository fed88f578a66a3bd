//! Taps, namespaces and carriers against the real kernel. Needs root.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ironlane_control::exception::TapChange;
use ironlane_control::exception::peer::{self, PeerSpec};
use ironlane_control::exception::{
    FollowedPort, LinkFollower, LinkView, Links, Namespace, Tap, TapSpec,
};
use ironlane_fib::PortId;

/// Network namespaces that go when the test ends.
struct Netns(Vec<String>);

impl Netns {
    fn add(names: &[&str]) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() || !Path::new("/dev/net/tun").exists() {
            println!("SKIP exception/tap: needs root and /dev/net/tun");
            return None;
        }
        let all: Vec<String> = names
            .iter()
            .map(|name| format!("{name}{}", std::process::id()))
            .collect();
        for name in &all {
            run(&format!("ip netns add {name}"));
        }
        Some(Self(all))
    }

    fn get(&self, index: usize) -> Namespace {
        Namespace::named(&self.0[index])
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn run(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn spec(name: &str) -> TapSpec {
    TapSpec {
        name: name.to_owned(),
        mac: Some([2, 0, 0, 0, 9, 1]),
        mtu: 9000,
        addresses: vec![
            "192.0.2.1/24".parse().unwrap(),
            "2001:db8::1/64".parse().unwrap(),
        ],
        carrier: true,
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "waited for: {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn view(links: &Links, name: &str) -> LinkView {
    links.find(name).unwrap().unwrap()
}

#[test]
fn a_tap_is_as_configured_and_goes_with_its_descriptor() {
    let Some(ns) = Netns::add(&["ila"]) else {
        return;
    };
    let links = Links::open(&ns.get(0)).unwrap();
    let tap = Tap::create(&ns.get(0), &links, &spec("p0")).unwrap();
    let link = view(&links, "p0");
    assert_eq!((link.mac, link.mtu), ([2, 0, 0, 0, 9, 1], 9000));
    assert!(link.admin_up && link.carrier);
    assert_eq!(link.index, tap.ifindex());
    let addresses = run(&format!("ip -n {} -br addr show p0", ns.0[0]));
    assert!(addresses.contains("192.0.2.1/24") && addresses.contains("2001:db8::1/64"));
    assert!(
        Links::open(&Namespace::own())
            .unwrap()
            .find("p0")
            .unwrap()
            .is_none()
    );

    drop(tap);
    assert_eq!(links.find("p0").unwrap(), None);
    assert!(!run(&format!("ip -n {} -br link", ns.0[0])).contains("p0"));
}

#[test]
fn a_name_that_exists_is_refused_also_where_it_could_be_taken_over() {
    let Some(ns) = Netns::add(&["ilb"]) else {
        return;
    };
    let links = Links::open(&ns.get(0)).unwrap();
    run(&format!(
        "ip netns exec {} ip tuntap add dev p0 mode tap",
        ns.0[0]
    ));
    let error = Tap::create(&ns.get(0), &links, &spec("p0"))
        .unwrap_err()
        .to_string();
    let cure = format!("remove it (ip -n {} link del p0)", ns.0[0]);
    assert!(
        error.contains("has an interface of that name already") && error.contains(&cure),
        "{error}"
    );
    run(&format!("ip -n {} link show p0", ns.0[0]));
}

#[test]
fn frames_pass_whole_and_one_at_a_time() {
    let Some(ns) = Netns::add(&["ilc"]) else {
        return;
    };
    let links = Links::open(&ns.get(0)).unwrap();
    let tap = Tap::create(&ns.get(0), &links, &spec("p0")).unwrap();
    // Who has 192.0.2.1? Tell 192.0.2.9.
    let mut ask = vec![0xff; 6];
    ask.extend([
        2, 0, 0, 0, 9, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 9, 9, 192, 0, 2, 9,
    ]);
    ask.extend([0, 0, 0, 0, 0, 0, 192, 0, 2, 1]);
    tap.send(&ask).unwrap();
    let mut frame = [0; 9100];
    let mut len = 0;
    wait_for("the kernel's ARP reply", || {
        len = tap.receive(&mut frame).unwrap_or(0);
        len >= 42 && frame[12..14] == [8, 6] && frame[21] == 2
    });
    assert_eq!(frame[..6], [2, 0, 0, 0, 9, 9]);
    assert_eq!(frame[22..32], [2, 0, 0, 0, 9, 1, 192, 0, 2, 1]);

    links.set_admin(&view(&links, "p0"), false).unwrap();
    let refused = tap.send(&ask).unwrap_err();
    assert_eq!(
        refused.raw_os_error(),
        Some(nix::libc::EIO),
        "a tap that is down"
    );
}

#[test]
fn port_and_tap_follow_each_other() {
    let Some(ns) = Netns::add(&["ild"]) else {
        return;
    };
    let links = Links::open(&ns.get(0)).unwrap();
    let tap = Tap::create(
        &ns.get(0),
        &links,
        &TapSpec {
            carrier: false,
            ..spec("p0")
        },
    )
    .unwrap();
    let first = view(&links, "p0");
    assert!(first.admin_up && !first.carrier, "made without carrier");
    let device = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&device);
    let (done, changes) = std::sync::mpsc::channel();
    let port = FollowedPort {
        port: PortId(3),
        name: "p0".to_owned(),
        tap: tap.link().clone(),
        has_carrier: Box::new(move || asked.load(Ordering::Relaxed)),
        carrier: false,
        groups: Vec::new(),
        apply: Box::new(move |change| done.send(change).unwrap()),
    };
    let follower = LinkFollower::start(&ns.get(0), vec![port]).unwrap();
    for on in [true, false, true] {
        device.store(on, Ordering::Relaxed);
        wait_for("the tap's carrier", || view(&links, "p0").carrier == on);
        assert!(view(&links, "p0").admin_up, "only the carrier changes");
    }
    let tell = follower.changes();
    tell.tell(PortId(2), TapChange::Admin(true));
    tell.tell(PortId(3), TapChange::Admin(false));
    // Groups that the tap joins come by themselves.
    let first = loop {
        match changes.recv_timeout(Duration::from_secs(5)).unwrap() {
            TapChange::Groups(_) => continue,
            other => break other,
        }
    };
    assert_eq!(first, TapChange::Admin(false), "not that of another port");
    follower.stop();
    tell.tell(PortId(3), TapChange::Gone);
}

/// A tap that is set down and up again loses its carrier in between, not behind.
#[test]
fn a_carrier_is_looked_at_as_soon_as_a_port_was_stopped() {
    let Some(ns) = Netns::add(&["ilk"]) else {
        return;
    };
    let links = Links::open(&ns.get(0)).unwrap();
    let tap = Tap::create(&ns.get(0), &links, &spec("p0")).unwrap();
    let (done, events) = std::sync::mpsc::channel();
    let asked = done.clone();
    let port = FollowedPort {
        port: PortId(3),
        name: "p0".to_owned(),
        tap: tap.link().clone(),
        has_carrier: Box::new(move || {
            asked.send(None).unwrap();
            true
        }),
        carrier: true,
        groups: Vec::new(),
        apply: Box::new(move |change| done.send(Some(change)).unwrap()),
    };
    let follower = LinkFollower::start(&ns.get(0), vec![port]).unwrap();
    let tell = follower.changes();
    for up in [false, true] {
        tell.tell(PortId(3), TapChange::Admin(up));
    }
    let mut seen = Vec::new();
    while seen.last() != Some(&Some(TapChange::Admin(true))) {
        match events.recv_timeout(Duration::from_secs(5)).unwrap() {
            Some(TapChange::Groups(_)) => {}
            event => seen.push(event),
        }
    }
    let stopped = Some(TapChange::Admin(false));
    let at = seen.iter().position(|event| *event == stopped).unwrap();
    assert_eq!(seen[at + 1], None, "asked before it is started: {seen:?}");
    follower.stop();
}

#[test]
fn a_port_is_told_the_groups_that_its_tap_has_joined() {
    let Some(ns) = Netns::add(&["ilg"]) else {
        return;
    };
    let links = Links::open(&ns.get(0)).unwrap();
    let tap = Tap::create(&ns.get(0), &links, &spec("p0")).unwrap();
    let (done, changes) = std::sync::mpsc::channel();
    let port = FollowedPort {
        port: PortId(3),
        name: "p0".to_owned(),
        tap: tap.link().clone(),
        has_carrier: Box::new(|| true),
        carrier: true,
        groups: Vec::new(),
        apply: Box::new(move |change| done.send(change).unwrap()),
    };
    let follower = LinkFollower::start(&ns.get(0), vec![port]).unwrap();
    // The kernel joins the solicited-node group of an address (RFC 4291, 2.7.1).
    let name = &ns.0[0];
    run(&format!(
        "ip -n {name} addr add 2001:db8::12:3456/64 dev p0 nodad"
    ));
    let wanted = [0x33, 0x33, 0xff, 0x12, 0x34, 0x56];
    let told = loop {
        match changes.recv_timeout(Duration::from_secs(5)).unwrap() {
            TapChange::Groups(groups) if groups.contains(&wanted) => break groups,
            _ => {}
        }
    };
    assert!(
        told.contains(&[0x33, 0x33, 0, 0, 0, 1]),
        "all nodes too: {told:x?}"
    );
    follower.stop();
}

#[test]
fn the_kernels_end_is_moved_with_mac_name_and_addresses() {
    let Some(ns) = Netns::add(&["ilh"]) else {
        return;
    };
    let own = Namespace::own();
    let here = Links::open(&own).unwrap();
    let iface = format!("il{}", std::process::id());
    let bare = TapSpec {
        addresses: Vec::new(),
        ..spec(&iface)
    };
    let tap = Tap::create(&own, &here, &bare).unwrap();
    let peer = PeerSpec {
        iface: iface.clone(),
        namespace: ns.get(0),
        name: "eth0".to_owned(),
        mac: peer::other_mac([2, 0, 0, 0, 9, 1]),
        mtu: 1500,
        addresses: vec!["192.0.2.3/24".parse().unwrap()],
    };
    peer::arrange(&peer).unwrap();
    let there = Links::open(&ns.get(0)).unwrap();
    let link = view(&there, "eth0");
    assert!(link.carrier && link.mac == peer.mac && link.mtu == 1500);
    assert!(run(&format!("ip -n {} -br addr show eth0", ns.0[0])).contains("192.0.2.3/24"));

    let again = Tap::create(&own, &here, &bare).unwrap();
    let error = peer::arrange(&peer).unwrap_err().to_string();
    assert!(error.contains("has an interface eth0 already"), "{error}");
    drop((tap, again));
}

#[test]
fn the_face_of_an_ipsec_interface_is_a_tun_that_ospf_can_use() {
    let Some(ns) = Netns::add(&["ili"]) else {
        return;
    };
    let links = Links::open(&ns.get(0)).unwrap();
    let spec = TapSpec {
        mac: None,
        mtu: 1400,
        addresses: vec!["192.0.2.1/30".parse().unwrap()],
        ..spec("ipsec0")
    };
    let tun = Tap::create(&ns.get(0), &links, &spec).unwrap();
    let name = &ns.0[0];
    let told = run(&format!("ip -n {name} -d link show ipsec0"));
    for word in [
        "POINTOPOINT",
        "MULTICAST",
        "NOARP",
        "LOWER_UP",
        "mtu 1400",
        "link/none",
    ] {
        assert!(told.contains(word), "no {word} in {told}");
    }
    let has_link_local = || {
        let addresses = run(&format!("ip -n {name} -6 addr show ipsec0"));
        addresses.contains("inet6 fe80:")
    };
    wait_for("a link-local address", has_link_local);
    // What the kernel sends comes with an Ethernet header, and nothing else than IP.
    run(&format!(
        "ip netns exec {name} ping -c 1 -W 0.1 192.0.2.2 || true"
    ));
    let mut frame = [0; 2048];
    let request =
        std::iter::repeat_with(|| tun.receive(&mut frame).map(|len| frame[..len].to_vec()))
            .map_while(Result::ok)
            .find(|frame| frame[12..14] == [8, 0] && frame[23] == 1)
            .expect("the echo request");
    assert_eq!((request[14], request.len()), (0x45, 14 + 84));
    // What it is given, it is given without: the request as if it came from the other side is answered.
    let mut echo = request;
    let (src, dst) = (echo[26..30].to_vec(), echo[30..34].to_vec());
    echo[26..30].copy_from_slice(&dst);
    echo[30..34].copy_from_slice(&src);
    tun.send(&echo).unwrap();
    wait_for("the answer", || match tun.receive(&mut frame) {
        Ok(len) => len == 98 && frame[12..15] == [8, 0, 0x45] && frame[34] == 0,
        Err(_) => false,
    });
}
