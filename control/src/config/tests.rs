//! Wrong configurations with the exact message for each, and right ones with what they mean.

use std::time::Duration;

use super::{Config, Device, IdleMode};
use ironlane_dataplane::reason::PuntReason;

/// A port that is right, to put others beside.
const PORT: &str = "[[port]]\nname = \"p0\"\ndevice = \"net_tap0,iface=a\"\n";

#[test]
fn an_empty_file_is_a_router_without_ports() {
    let config = Config::parse("c", "").unwrap();
    assert!(config.ports.is_empty());
    assert_eq!(
        config.daemon.socket.to_str(),
        Some("/run/ironlane/ironlane.sock")
    );
    assert_eq!(config.lcores.cpus, [1]);
    assert_eq!(config.lcores.idle.mode, IdleMode::Sleep);
    assert_eq!(
        config.mirror.audit_interval(),
        Some(Duration::from_secs(300))
    );
    assert_eq!(
        config.punt.rate_pps(PuntReason::Arp),
        PuntReason::Arp.default_rate_pps()
    );
}

#[test]
fn what_is_written_is_what_is_read() {
    let config = Config::parse(
        "c",
        r#"
        daemon = { netns = "router", log = "debug" }
        lcores.cpus = [1, "4-5"]
        lcores.idle = { mode = "poll" }
        punt.arp = { rate_pps = 7, burst = 0x10 }
        neighbour.refresh_interval_s = 0
        [[port]]
        name = "p0"
        device = "3B:02.1"
        tap = "wan"
        mtu = 9_000
        addresses = ["192.0.2.1/24", "2001:db8::1/64"]
        [[port]]
        name = "p1"
        device = "net_tap1,iface=lan"
        peer_netns = "host"
        "#,
    )
    .unwrap();
    assert_eq!(
        config.daemon.netns_path().unwrap().to_str(),
        Some("/run/netns/router")
    );
    assert_eq!(config.lcores.cpus, [1, 4, 5]);
    assert_eq!(config.lcores.idle.mode, IdleMode::Poll);
    assert_eq!(config.punt.rate_pps(PuntReason::Arp), 7);
    assert_eq!(config.punt.get(PuntReason::Arp).unwrap().burst, Some(16));
    assert_eq!(config.neighbour.refresh_interval(), None);
    let [p0, p1] = config.ports.as_slice() else {
        panic!("{config:?}")
    };
    assert_eq!(
        (p0.tap.as_str(), p0.mtu, p0.device.id()),
        ("wan", 9000, "0000:3b:02.1")
    );
    assert_eq!(p0.addresses.len(), 2);
    assert_eq!(p1.peer.as_ref().unwrap().netns.as_deref(), Some("host"));
    assert!(matches!(p1.device, Device::Virtual { .. }));
}

#[test]
fn what_show_prints_reads_back_the_same() {
    let text = r#"
        daemon.netns = "router"
        punt.ttl_expired = { rate_pps = 10 }
        mempool.mbufs = 8191
        lcore.1.mode = "poll"
        [[port]]
        name = "p0"
        device = "net_tap0,iface=a"
        addresses = ["192.0.2.1/24"]
        peer_mac = "02:00:00:00:00:09"
    "#;
    let config = Config::parse("c", text).unwrap();
    assert_eq!(
        Config::parse("shown", &config.to_toml()).unwrap(),
        config,
        "{}",
        config.to_toml()
    );
    let empty = Config::parse("c", "").unwrap();
    assert_eq!(Config::parse("shown", &empty.to_toml()).unwrap(), empty);
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    let text = "[dpdk]\nmemory_mib = 1\nhugepages = \"yes\"\n[lcores]\ncpu = 1\n";
    let told = Config::parse("r.toml", text).unwrap_err().to_string();
    assert_eq!(
        told,
        "r.toml:2:14: [dpdk] memory_mib: expected an integer from 64 to 1048576, found the integer 1\n\
         r.toml:3:13: [dpdk] hugepages: expected true or false, found the string \"yes\"\n\
         r.toml:5:1: unknown key \"cpu\" in [lcores]; did you mean \"cpus\"?"
    );
}

#[test]
fn a_missing_file_says_where_to_get_one() {
    let error = Config::load("/nowhere/r.toml".as_ref())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "/nowhere/r.toml: no such file; `ironlane config example` prints one to begin with"
    );
}

#[test]
fn each_fault_has_its_message() {
    let long_socket = format!("[daemon]\nsocket = \"/{}\"", "x".repeat(107));
    let second = |rest: &str| format!("{PORT}[[port]]\n{rest}");
    let cases: &[(&str, &str)] = &[
        (
            "[deamon]",
            "1:2: unknown section \"deamon\"; did you mean \"daemon\"?",
        ),
        ("socket = \"/run/x\"", "1:1: unknown key \"socket\""),
        ("[frobnicate]", "1:2: unknown section \"frobnicate\""),
        ("daemon = 3", "1:10: [daemon] is a table, not an integer"),
        (
            "[lcores]\nidle = \"poll\"",
            "2:8: [lcores.idle] is a table, not a string",
        ),
        (
            "[port]\nname = \"p0\"",
            "1:1: ports are written [[port]], in two brackets",
        ),
        ("[[daemon]]", "1:1: [daemon] is a table, not an array"),
        (
            "[daemon]\nsocket = \"ironlane.sock\"",
            "2:10: [daemon] socket: \"ironlane.sock\" is not an absolute path",
        ),
        (
            &long_socket,
            "2:10: [daemon] socket: longer than the 107 bytes that a Unix socket's path can have",
        ),
        (
            "[daemon]\nlog = \"infoo\"",
            "2:7: [daemon] log: \"infoo\" is not a log level; write one of off, error, warn, info, \
             debug, trace or a list of target=level",
        ),
        (
            "[daemon]\nnetns = \"a/b\"",
            "2:9: [daemon] netns: \"a/b\" is neither a name nor an absolute path",
        ),
        (
            "[dpdk]\nextra_args = [\"--vdev=net_null0\"]",
            "2:15: [dpdk] extra_args: --vdev is set by [[port]] device",
        ),
        (
            "[dpdk]\nextra_args = [1]",
            "2:15: [dpdk] extra_args: expected a string, found the integer 1",
        ),
        (
            "[dpdk]\nfile_prefix = \"a b\"",
            "2:15: [dpdk] file_prefix: only letters, digits, '-', '_' and '.' can stand here",
        ),
        (
            "[lcores]\ncpus = [1, 1]",
            "2:8: [lcores] cpus: CPU 1 is given twice",
        ),
        (
            "[lcores]\ncpus = []",
            "2:8: [lcores] cpus: at least one CPU has to forward packets",
        ),
        (
            "[lcores]\ncpus = \"3-1\"",
            "2:8: [lcores] cpus: the range 3-1 runs backwards",
        ),
        (
            "[lcores]\ncpus = 500",
            "2:8: [lcores] cpus: CPU 500 is beyond 126, the highest that DPDK can use",
        ),
        (
            "[lcores]\ncpus = true",
            "2:8: [lcores] cpus: expected CPU numbers, as 1, \"1-3\" or [1, 2, 3], found the \
             boolean true",
        ),
        (
            "[lcores.idle]\nmode = \"slep\"",
            "2:8: [lcores.idle] mode: expected \"sleep\" or \"poll\", found \"slep\"; did you mean \
             \"sleep\"?",
        ),
        (
            "[lcores.idle]\nspin_us = 1.5",
            "2:11: [lcores.idle] spin_us: expected an integer from 0 to 10000000, found the number \
             1.5",
        ),
        (
            "[lcores.idle]\nsleep_min_us = 600",
            "2:16: [lcores.idle] sleep_min_us: 600 is above sleep_max_us, which is 500",
        ),
        (
            "[lcore.1]\nmode = \"busy\"",
            "2:8: [lcore.1] mode: expected \"sleep\" or \"poll\", found \"busy\"",
        ),
        (
            "[lcore.1]\nsleep_max_us = 40",
            "1:1: [lcore.1] sleep_min_us: 50 is above sleep_max_us, which is 40",
        ),
        (
            "[lcores]\ncpus = \"1-2\"\n[lcore.3]\nmode = \"poll\"",
            "3:8: [lcore.3]: no lcore is on CPU 3; [lcores] cpus are 1, 2",
        ),
        (
            "[[lcore]]\ncpu = 1",
            "1:1: what one lcore does is written [lcore.CPU]",
        ),
        (
            "[[port]]\ndevice = \"net_null0\"",
            "1:1: [[port]] needs the key \"name\"",
        ),
        (
            "[[port]]\nname = \"p0\"",
            "1:1: [[port]] needs the key \"device\"",
        ),
        (
            "[[port]]\nname = \"p0\"\ndevice = \"eth0\"",
            "3:10: [[port]] device: \"eth0\" is neither a PCI address like 0000:3b:02.1 nor a DPDK \
             device like net_tap0",
        ),
        (
            "[[port]]\nname = \"p0\"\ndevice = \"net_tap0\"\nadress = []",
            "4:1: unknown key \"adress\" in [[port]]; did you mean \"addresses\"?",
        ),
        (
            "[[port]]\nname = \"p0\"\ndevice = \"net_tap0\"\naddresses = [\"192.0.2.300/24\"]",
            "4:14: [[port]] addresses: invalid IP address syntax",
        ),
        (
            "[[port]]\nname = \"a-name-that-is-too-long\"\ndevice = \"net_tap0\"",
            "2:8: [[port]] name: \"a-name-that-is-too-long\" has 23 bytes; Linux takes interface \
             names of 15 at most",
        ),
        (
            "[[port]]\nname = \"p0\"\ndevice = \"net_tap0\"\nmac = \"01:00:5e:00:00:01\"",
            "4:7: [[port]] mac: 01:00:5e:00:00:01 is a multicast address; a port needs a unicast one",
        ),
        (
            "[[port]]\nname = \"p0\"\ndevice = \"net_tap0\"\nmtu = 99999",
            "4:7: [[port]] mtu: expected an integer from 576 to 9000, found the integer 99999",
        ),
        (
            "[[port]]\nname = \"p0\"\ndevice = \"net_tap0\"\nmtu = 1000\naddresses = [\"fd00::1/64\"]",
            "4:7: [[port]] mtu: 1000 is below the 1280 that IPv6 needs (RFC 8200 5)",
        ),
        (
            "[[port]]\nname = \"p0\"\ndevice = \"net_null0\"\npeer_netns = \"h\"",
            "4:14: [[port]] peer_netns: only a net_tap device has a kernel end, net_null0 has none",
        ),
        (
            "[[port]]\nname = \"p0\"\ndevice = \"net_tap0,iface=h0\"\nmac = \"02:00:00:00:00:01\"\n\
             peer_mac = \"02:00:00:00:00:01\"",
            "5:12: [[port]] peer_mac: 02:00:00:00:00:01 is the port's own; the two ends must differ",
        ),
        (
            "[[port]]\nname = \"p0\"\ndevice = \"net_tap3\"\npeer_netns = \"h\"",
            "3:10: [[port]] device: the kernel end that peer_... keys are about needs a name; write \
             net_tap3,iface=NAME",
        ),
        (
            "[[port]]\nname = \"p0\"\ndevice = \"net_tap0,iface=h%d\"",
            "3:10: [[port]] device: iface: \"h%d\" is not a name that Linux takes for an interface",
        ),
        (
            "[[port]]\nname = \"p0\"\ndevice = \"net_tap0,iface=p0\"",
            "3:10: [[port]] device: its kernel end p0 is in the way of the tap of port p0; give it \
             another iface or peer_name, or set [daemon] netns",
        ),
        (
            "[daemon]\nnetns = \"r\"\n[[port]]\nname = \"p0\"\ndevice = \"net_tap0,iface=il0\"\n\
             peer_netns = \"r\"\npeer_name = \"p0\"",
            "5:10: [[port]] device: its kernel end p0 is in the way of the tap of port p0; give it \
             another iface or peer_name, or set peer_netns",
        ),
        (
            &second("name = \"p0\"\ndevice = \"net_null0\"\ntap = \"x\""),
            "5:8: [[port]] name: name p0 is already that of the port at line 2",
        ),
        (
            &second("name = \"p1\"\ndevice = \"net_null0\"\ntap = \"p0\""),
            "7:7: [[port]] tap: tap p0 is already that of the port at line 1",
        ),
        (
            &second("name = \"p1\"\ndevice = \"net_tap0,iface=b\""),
            "6:10: [[port]] device: device net_tap0 is already that of the port at line 3",
        ),
        (
            &second("name = \"p1\"\ndevice = \"net_tap1,iface=a\""),
            "6:10: [[port]] device: iface a is already that of the port at line 3",
        ),
        (
            "[punt.tll_expired]\nrate_pps = 1",
            "1:7: unknown punt reason \"tll_expired\"; did you mean \"ttl_expired\"?",
        ),
        (
            "[punt.arp]\nrate = 1",
            "2:1: unknown key \"rate\" in [punt.arp]; did you mean \"rate_pps\"?",
        ),
        (
            "[punt]\narp = 5",
            "2:7: [punt.arp] is a table, not an integer",
        ),
        (
            "[mirror]\naudit_interval_s = -1",
            "2:20: [mirror] audit_interval_s: expected an integer from 0 to 86400, found the \
             integer -1",
        ),
    ];
    for (text, message) in cases {
        let told = Config::parse("c", text).expect_err(text).to_string();
        assert_eq!(told, format!("c:{message}"), "for\n{text}");
    }
}

#[test]
fn more_ports_than_dpdk_takes_are_refused_at_the_first_too_many() {
    use ironlane_dataplane::eal::PORTS_MAX;
    let port = |i| format!("[[port]]\nname = \"p{i}\"\ndevice = \"net_null{i}\"\n");
    let text: String = (0..PORTS_MAX).map(port).collect();
    Config::parse("c", &text).unwrap();
    let told = Config::parse("c", &(text + &port(PORTS_MAX)))
        .unwrap_err()
        .to_string();
    let (line, count) = (3 * PORTS_MAX + 1, PORTS_MAX + 1);
    let message = format!("{count} ports are more than the {PORTS_MAX} that this DPDK takes");
    assert_eq!(told, format!("c:{line}:1: {message}"));
}

#[test]
fn text_that_is_no_toml_is_told_with_its_place() {
    let told = Config::parse("c", "[daemon]\nlog = \"info\n")
        .unwrap_err()
        .to_string();
    assert!(
        told.starts_with("c:2:") && told.contains("not TOML"),
        "{told}"
    );
}

#[test]
fn no_text_makes_it_panic() {
    use proptest::prelude::*;
    proptest!(|(words in proptest::collection::vec(
        prop_oneof![
            Just("[daemon]"), Just("[[port]]"), Just("port"), Just("[punt.arp]"), Just("=") ,
            Just("name"), Just("\n"), Just("\"p0\""), Just("device"), Just("\"net_tap0\""), Just("{"),
            Just("}"), Just("[1]"), Just("-9223372036854775808"), Just("0xffffffffffffffffff"),
            Just("lcores.cpus"), Just("\"é\""), Just("'"), Just("."), Just("1e400"), Just("#"),
        ], 0..24))| {
        let _ = Config::parse("c", &words.join(" "));
    });
    proptest!(|(text in "\\PC*")| { let _ = Config::parse("c", &text); });
}

#[test]
fn every_configuration_of_the_project_is_good() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let Ok(files) = std::fs::read_dir(entry.path()) else {
            continue;
        };
        let names: Vec<_> = files.flatten().map(|f| f.path()).collect();
        assert!(
            names.iter().any(|n| n.ends_with("README.md")),
            "{entry:?} has no README.md"
        );
        for file in names
            .iter()
            .filter(|n| n.extension().is_some_and(|e| e == "toml"))
        {
            let config = Config::load(file).unwrap_or_else(|e| panic!("{e}"));
            assert!(
                config.ports.len() >= 2,
                "{} routes between ports",
                file.display()
            );
            checked += 1;
        }
    }
    assert!(
        checked >= 4,
        "only {checked} configurations found in {folder}"
    );
}

#[test]
fn a_kernel_end_elsewhere_may_have_the_name_of_a_tap() {
    for text in [
        "[daemon]\nnetns = \"r\"\n[[port]]\nname = \"p0\"\ndevice = \"net_tap0,iface=p0\"",
        "[[port]]\nname = \"p0\"\ndevice = \"net_tap0,iface=p0\"\npeer_netns = \"h\"",
        "[[port]]\nname = \"p0\"\ndevice = \"net_tap0,iface=p0\"\npeer_name = \"h0\"",
    ] {
        Config::parse("r.toml", text).unwrap();
    }
}
