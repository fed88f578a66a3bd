//! Every question to a running daemon, answered from its live parts.

mod daemon;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use daemon::{Case, alone};
use nix::sys::signal::Signal::SIGTERM;
use serde_json::Value;

/// p0 makes frames without end (net_null's are all zeroes), p1 none.
const PORTS: &str = r#"
[[port]]
name = "p0"
device = "net_null0"
addresses = ["192.0.2.1/24", "2001:db8:2::1/64"]
[[port]]
name = "p1"
device = "net_null1,no-rx=1"
addresses = ["198.51.100.1/24"]
[punt.arp]
rate_pps = 77
"#;

fn ip(line: &str) {
    let done = Command::new("ip")
        .args(line.split_whitespace())
        .status()
        .unwrap();
    assert!(done.success(), "ip {line}");
}

fn json(case: &Case, line: &str) -> Value {
    let output = case.ask(&format!("{line} --json"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asks until `good`, for a few seconds.
fn eventually(case: &Case, line: &str, good: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..250 {
        let answer = json(case, line);
        if good(&answer) {
            return answer;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{line} never came to: {}", json(case, line));
}

fn row<'a>(rows: &'a Value, key: &str, value: &str) -> &'a Value {
    let found = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row[key] == value);
    found.unwrap_or_else(|| panic!("no row with {key} = {value} in {rows}"))
}

#[test]
fn a_running_daemon_answers_every_question() {
    if !alone() {
        return;
    }
    ip("link set lo up");
    let case = Case::new(PORTS);
    let mut running = case.started();

    let status = eventually(&case, "status", |s| s["mirror"]["synchronised"] == true);
    assert_eq!(
        (&status["ports"], &status["lcores"]),
        (&2.into(), &1.into())
    );
    assert!(
        status["dpdk_version"]
            .as_str()
            .unwrap()
            .starts_with("DPDK "),
        "{status}"
    );

    let ports = json(&case, "port show");
    let p0 = row(&ports, "name", "p0");
    assert_eq!(
        (&p0["tap"], &p0["mtu"], &p0["driver"]),
        (&"p0".into(), &1500.into(), &"net_null".into())
    );
    assert!(p0["ifindex"].as_u64().unwrap() > 0, "{p0}");
    assert_eq!(json(&case, "port show p1").as_array().unwrap().len(), 1);

    ip("route add 203.0.113.0/24 via 198.51.100.9 proto bgp metric 20");
    let routes = eventually(&case, "route show", |r| {
        r.to_string().contains("203.0.113.0/24")
    });
    let route = row(&routes, "prefix", "203.0.113.0/24");
    assert_eq!(
        (&route["protocol"], &route["metric"]),
        (&"bgp".into(), &20.into())
    );
    assert!(
        !routes.to_string().contains("\"local\""),
        "local routes only with --all"
    );
    assert!(
        json(&case, "route show --all")
            .to_string()
            .contains("\"local\"")
    );

    let get = |address: &str| json(&case, &format!("route get {address}"));
    assert_eq!(
        get("203.0.113.9")["verdict"],
        "glean",
        "nobody is 198.51.100.9 yet"
    );
    ip("neighbour add 198.51.100.9 lladdr 02:00:00:00:00:99 dev p1 nud permanent");
    let forward = eventually(&case, "route get 203.0.113.9", |r| {
        r["verdict"] == "forward"
    });
    assert_eq!(
        forward["adjacencies"][0]["destination_mac"],
        "02:00:00:00:00:99"
    );
    assert_eq!(forward["adjacencies"][0]["port"], "p1");
    assert_eq!(get("192.0.2.1")["verdict"], "local");
    assert_eq!(get("8.8.8.8")["verdict"], "no_route");

    let neighbours = json(&case, "neighbour show --interface p1");
    assert_eq!(
        row(&neighbours, "address", "198.51.100.9")["state"],
        "permanent"
    );
    let adjacencies = json(&case, "adjacency show --port p1");
    let to_9 = row(&adjacencies, "neighbour", "198.51.100.9");
    assert_eq!(to_9["kind"], "forward");
    let nexthops = json(&case, "nexthop show");
    let single = |n: &&Value| n["index"] == to_9["nexthop"] && n["routes"].as_u64() >= Some(1);
    assert!(
        nexthops.as_array().unwrap().iter().any(|n| single(&n)),
        "{nexthops}"
    );

    // What net_null makes is dropped, and seen now.
    let drops = eventually(&case, "drop show", |d| !d.as_array().unwrap().is_empty());
    let first = &drops[0];
    assert!(
        first["port"] == "p0" && first["stage"] == "classify",
        "{first}"
    );
    assert!(first["last_seen_ms"].as_u64().unwrap() < 5_000, "{first}");
    let punts = json(&case, "punt show --all");
    assert_eq!(row(&punts, "reason", "arp")["rate_pps"], 77);

    let lcores = json(&case, "lcore show");
    assert_eq!(lcores[0]["state"], "running");
    assert_eq!(lcores[0]["rx_queues"], serde_json::json!(["p0:0", "p1:0"]));
    let stages = json(&case, "stage show");
    assert!(
        row(&stages, "name", "classify")["packets"]
            .as_u64()
            .unwrap()
            > 0
    );

    // The identity holds while packets come, before and after a clear.
    let before = json(&case, "stats show");
    let dumps = json(&case, "status")["mirror"]["dumps"].as_u64().unwrap();
    assert!(case.ask("stats clear").status.success());
    let after = json(&case, "stats show");
    for stats in [&before, &after] {
        let count = |name: &str| stats[name].as_i64().unwrap();
        assert_eq!(stats["identity_holds"], true, "{stats}");
        assert_eq!(
            count("rx_packets") + count("injected_packets"),
            count("tx_packets")
                + count("dropped_packets")
                + count("punted_packets")
                + count("held_packets"),
            "{stats}"
        );
    }
    assert!(after["since_s"].as_u64().unwrap() <= 2, "{after}");
    let mirror = |count: &str| json(&case, "status")["mirror"][count].as_u64().unwrap();
    let samples = |line: &str| json(&case, line)["samples"].as_u64().unwrap();
    // The kernel may say something by itself at any time, so none of these is exact.
    assert!(
        mirror("dumps") < dumps && samples("latency show") < 20,
        "cleared"
    );
    for net in 0..20 {
        ip(&format!("route add 203.1.{net}.0/24 via 198.51.100.9"));
    }
    eventually(&case, "latency show", |l| l["samples"].as_u64() >= Some(20));
    assert!(samples("latency show --clear") >= 20);
    assert!(samples("latency show") < 20, "it starts anew");
    assert!(mirror("commits") > 0, "and nothing else does");

    let verified = case.ask("verify");
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success(), "{text}");
    assert!(
        text.contains("no differences; every packet is accounted for"),
        "{text}"
    );

    assert_eq!(json(&case, "log level debug")["level"], "debug");
    assert_eq!(json(&case, "log level")["level"], "debug");
    assert!(case.ask("config show").status.success());
    assert_eq!(running.signal(SIGTERM), Some(0));
}

#[test]
fn questions_about_what_is_not_there_are_refused_in_a_line() {
    if !alone() {
        return;
    }
    let case = Case::new(PORTS);
    let _running = case.started();
    let told = |line: &str| {
        let output = case.ask(line);
        assert_eq!(output.status.code(), Some(1), "{line}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(
        told("port show p9"),
        "there is no port p9; there is p0, p1\n"
    );
    assert_eq!(
        told("adjacency show --port p9"),
        "there is no port p9; there is p0, p1\n"
    );
    assert_eq!(
        told("route show --vrf red"),
        "there is no VRF red; there is default\n"
    );
    assert_eq!(
        told("route get 192.0.2.1 --source 2001:db8::1"),
        "source and destination are of different families\n"
    );
}

#[test]
fn a_stop_in_the_midst_of_a_verify_ends_the_lcores_first() {
    if !alone() {
        return;
    }
    let case = Case::new(PORTS);
    let mut running = case.started();
    let mut batch = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut commands = String::new();
    for net in 0..300_000 {
        let [_, a, b, c] = u32::to_be_bytes(net);
        commands += &format!("route add {}.{b}.{c}.0/24 via 198.51.100.9\n", 20 + a);
    }
    let mut stdin = batch.stdin.take().unwrap();
    stdin.write_all(commands.as_bytes()).unwrap();
    drop(stdin);
    assert!(batch.wait().unwrap().success());

    let mut verify = case.asking("verify");
    let verify = verify.stdout(Stdio::null()).stderr(Stdio::null());
    let mut verify = verify.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(verify.try_wait().unwrap(), None, "it is under way");
    assert_eq!(running.signal(SIGTERM), Some(0));
    let told = running.told();
    assert!(told.trim_end().ends_with("stopped"), "{told}");
    assert!(!verify.wait().unwrap().success());
}

#[test]
fn logs_go_where_they_are_seen_though_journalds_variable_is_inherited() {
    if !alone() {
        return;
    }
    let case = Case::new(PORTS);
    let mut running = case.started_with(&[("JOURNAL_STREAM", "8:1")]);
    assert_eq!(running.signal(SIGTERM), Some(0));
    let told = running.told();
    assert!(
        told.contains("ironlane") && told.contains("stopped"),
        "{told}"
    );
}

#[test]
fn rules_that_are_not_honoured_are_told_however_they_came() {
    if !alone() {
        return;
    }
    ip("link set lo up");
    ip("rule add from 10.0.0.0/8 table 100");
    ip("rule del pref 32767");
    let case = Case::new(PORTS);
    let mut running = case.started();
    eventually(&case, "status", |s| s["mirror"]["synchronised"] == true);
    ip("rule add from 10.1.0.0/16 table 100");
    ip("rule del pref 32766");
    ip("rule del from 10.0.0.0/8 table 100");
    ip("rule add from 10.0.0.0/8 table 100 pref 32765");
    let lines = [
        "IPv4 rule 32765: from 10.0.0.0/8 lookup 100",
        "IPv4 rule 32764: from 10.1.0.0/16 lookup 100",
        "IPv4 rule 32766: from all lookup main is not there",
        "IPv4 rule 32767: from all lookup default is not there",
    ];
    for line in lines {
        let text = case.ask("verify").stdout;
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert_eq!(running.signal(SIGTERM), Some(0));
    let told = running.told();
    for line in lines {
        assert_eq!(told.matches(line).count(), 1, "{line} in {told}");
    }
}

#[test]
fn settings_that_break_forwarding_are_named_in_the_log_and_by_status() {
    if !alone() {
        return;
    }
    // It shows the namespace of the thread that asks.
    let forward = |value: &str| std::fs::write("/proc/sys/net/ipv4/ip_forward", value).unwrap();
    forward("0");
    let case = Case::new(PORTS);
    let mut running = case.started();
    let told = "net.ipv4.ip_forward is 0, not 1: ";
    let warned = |status: &Value| status["warnings"].to_string().contains(told);
    assert!(warned(&json(&case, "status")), "{}", json(&case, "status"));
    forward("1");
    assert!(!warned(&json(&case, "status")), "it is looked at anew");
    assert_eq!(running.signal(SIGTERM), Some(0));
    let log = running.told();
    let line = log.lines().find(|line| line.contains(told));
    let line = line.unwrap_or_else(|| panic!("no warning in {log}"));
    assert!(
        line.contains("WARN") && line.contains("run: sysctl -w net.ipv4.ip_forward=1"),
        "{line}"
    );
}

#[test]
fn the_log_level_changes_what_is_logged() {
    if !alone() {
        return;
    }
    for (level, debug, info) in [
        (None, false, true),
        (Some("debug"), true, true),
        (Some("ironlane_control::daemon=debug"), true, true),
        (Some("off"), false, false),
    ] {
        let case = Case::new(PORTS);
        let mut running = case.started();
        if let Some(level) = level {
            assert!(case.ask(&format!("log level {level}")).status.success());
        }
        assert_eq!(running.signal(SIGTERM), Some(0));
        let told = running.told();
        let logged = |line: &str| told.contains(line);
        assert_eq!(logged("the API has ended"), debug, "{level:?}: {told}");
        assert_eq!(logged("SIGTERM: stopping"), info, "{level:?}: {told}");
    }
}

/// What `route -n` prints of a line of `/proc/net/route`: destination, gateway, genmask, flags,
/// metric, interface.
fn as_route_prints(line: &str) -> [String; 6] {
    let columns: Vec<_> = line.split_whitespace().collect();
    let address = |hex: &str| {
        let bytes = u32::from_str_radix(hex, 16).unwrap().to_ne_bytes();
        std::net::Ipv4Addr::from(bytes).to_string()
    };
    let bits = u32::from_str_radix(columns[3], 16).unwrap();
    let rejects = bits & 0x200 != 0;
    let mut flags = String::from(if rejects { "!" } else { "U" });
    flags.extend(
        [(2, 'G'), (4, 'H')]
            .iter()
            .filter(|f| bits & f.0 != 0)
            .map(|f| f.1),
    );
    [
        address(columns[1]),
        if rejects {
            "-".into()
        } else {
            address(columns[2])
        },
        address(columns[7]),
        flags,
        columns[6].to_owned(),
        columns[0].replace('*', "-"),
    ]
}

#[test]
fn the_kernels_own_table_and_ours_in_its_style_are_the_same() {
    if !alone() {
        return;
    }
    let case = Case::new(PORTS);
    let _running = case.started();
    for route in [
        "default via 198.51.100.9 metric 7",
        "203.0.113.0/24 via 198.51.100.9",
        "203.0.113.77/32 via 192.0.2.9",
        "10.1.0.0/16 dev p1",
        "10.2.0.9/32 dev p0 metric 20",
        "unreachable 10.3.0.0/16",
    ] {
        ip(&format!("route add {route}"));
    }
    let kernel = std::fs::read_to_string("/proc/thread-self/net/route").unwrap();
    let mut kernel: Vec<_> = kernel.lines().skip(1).map(as_route_prints).collect();
    kernel.sort();
    assert_eq!(kernel.len(), 8, "{kernel:?}");
    let ours = || {
        let text = case.ask("route show --kernel-style").stdout;
        let text = String::from_utf8(text).unwrap();
        let row = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        let mut rows: Vec<Vec<String>> = text.lines().skip(1).map(row).collect();
        rows.sort();
        rows
    };
    for _ in 0..250 {
        if ours() == kernel {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("ours {:#?}\nthe kernel's {kernel:#?}", ours());
}
