//! The program `ironlane` against a service with made-up state: output, JSON, exit codes.

mod fake;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fake::Daemon;

fn ironlane(socket: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ironlane"));
    command
        .args(line.split_whitespace())
        .env("IRONLANE_SOCKET", socket);
    command
}

fn output(daemon: &Daemon, line: &str) -> Output {
    ironlane(&daemon.socket, line).output().unwrap()
}

fn stdout(daemon: &Daemon, line: &str) -> String {
    let output = output(daemon, line);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{line}: {}\n{stderr}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

fn with_daemon(test: impl FnOnce(&Daemon)) {
    let folder = tempfile::tempdir().unwrap();
    test(&Daemon::start(folder.path()));
}

/// Messages of the proto file with the names of their fields.
fn proto_fields() -> BTreeMap<String, Vec<String>> {
    let text = include_str!("../proto/ironlane.proto");
    let mut messages = BTreeMap::new();
    let mut open: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("message ") {
            let name = rest.split_whitespace().next().unwrap().to_owned();
            open = (!rest.ends_with("{}")).then(|| name.clone());
            messages.insert(name, Vec::new());
        } else if line == "}" {
            open = None;
        } else if let Some(message) = &open
            && let Some((left, _)) = line.split_once(" = ")
            && !line.starts_with("//")
        {
            let field = left.split_whitespace().last().unwrap().to_owned();
            messages.get_mut(message).unwrap().push(field);
        }
    }
    messages
}

#[test]
fn json_has_the_field_names_of_the_api() {
    let fields = proto_fields();
    let shows = [
        ("status", "Status"),
        ("port show", "Port"),
        ("route show", "Route"),
        ("route get 203.0.113.9", "RouteLookup"),
        ("nexthop show", "Nexthop"),
        ("adjacency show", "Adjacency"),
        ("neighbour show", "Neighbour"),
        ("ipsec sa show", "IpsecSa"),
        ("ipsec policy show", "IpsecPolicy"),
        ("ipsec xfrm show", "IpsecXfrm"),
        ("ipsec connection show", "IpsecConnection"),
        ("ipsec initiate --child nets", "IpsecProgress"),
        ("ipsec terminate --ike-id 1", "IpsecProgress"),
        ("ipsec monitor", "IpsecEvent"),
        ("punt show", "Punt"),
        ("drop show", "Drop"),
        ("lcore show", "Lcore"),
        ("stage show", "Stage"),
        ("stats show", "Stats"),
        ("latency show", "Latency"),
        ("log level", "LogLevel"),
        ("verify --repair", "VerifyEvent"),
    ];
    with_daemon(|daemon| {
        for (line, message) in shows {
            let text = stdout(daemon, &format!("{line} --json"));
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            let object = if json.is_array() { &json[0] } else { &json };
            let mut keys: Vec<_> = object.as_object().unwrap().keys().cloned().collect();
            let mut wanted = fields[message].clone();
            keys.sort();
            wanted.sort();
            assert_eq!(keys, wanted, "{line}");
        }
    });
}

#[test]
fn tables_say_what_an_engineer_asks_for() {
    with_daemon(|daemon| {
        let lines = |line| {
            stdout(daemon, line)
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            lines("route show"),
            [
                "PREFIX           NEXTHOP       PROTOCOL  METRIC  KIND     SLOT  NOTE",
                "203.0.113.0/24   192.0.2.9 p0  ospf          20  unicast     5",
                "198.51.100.0/24  192.0.2.9 p0  ospf          20  unicast     5",
            ]
        );
        assert_eq!(
            lines("route show --kernel-style"),
            [
                "Destination   Gateway    Genmask        Flags  Metric  Iface",
                "203.0.113.0   192.0.2.9  255.255.255.0  UG         20  p0",
                "198.51.100.0  192.0.2.9  255.255.255.0  UG         20  p0",
            ]
        );
        assert_eq!(
            lines("drop show")[0],
            "PORT  REASON            STAGE      PACKETS  LAST SEEN  MEANING"
        );
        assert_eq!(
            lines("neighbour show")[1],
            "192.0.2.9  p0         02:00:00:00:00:09  reachable  yes"
        );
        assert_eq!(lines("log level"), ["info"]);
        assert_eq!(lines("log level debug"), ["debug"]);
        assert_eq!(lines("log level"), ["debug"]);
    });
}

#[test]
fn clearing_is_seen_by_the_next_show() {
    with_daemon(|daemon| {
        assert!(stdout(daemon, "drop show").contains("  12  "));
        assert_eq!(stdout(daemon, "stats clear"), "");
        assert!(!stdout(daemon, "drop show").contains("  12  "));
    });
}

#[test]
fn what_the_daemon_runs_with_can_be_shown() {
    with_daemon(|daemon| {
        let shown = stdout(daemon, "config show");
        assert!(
            shown.contains("device = \"net_null0\"") && shown.contains("[daemon]"),
            "{shown}"
        );
    });
}

#[test]
fn a_difference_found_by_verify_fails_unless_it_was_mended() {
    with_daemon(|daemon| {
        let found = output(daemon, "verify");
        assert_eq!(found.status.code(), Some(1));
        let text = String::from_utf8(found.stdout).unwrap();
        assert!(
            text.starts_with(
                "leaf 203.0.113.0/24: expected slot 5, found slot 0 (fault of the tables)\n"
            ),
            "{text}"
        );
        assert!(stdout(daemon, "verify --repair").contains("1 repaired"));
    });
}

#[test]
fn refusals_are_one_line_and_exit_code_1() {
    with_daemon(|daemon| {
        let refused = output(daemon, "port show p9");
        assert_eq!(refused.status.code(), Some(1));
        assert_eq!(refused.stderr, b"there is no port p9; there is p0\n");
    });
}

#[test]
fn wrong_usage_is_exit_code_2() {
    with_daemon(|daemon| {
        for line in [
            "port shwo",
            "route get nowhere",
            "log level loud",
            "--nonsense",
        ] {
            assert_eq!(output(daemon, line).status.code(), Some(2), "{line}");
        }
    });
}

#[test]
fn no_daemon_is_told_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere.sock");
    let output = ironlane(&nowhere, "port show").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("start one with: ironlane run --config FILE"),
        "{told}"
    );

    let dead = folder.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let told = ironlane(&dead, "port show").output().unwrap().stderr;
    let told = String::from_utf8(told).unwrap();
    assert!(
        told.contains("only the socket of one that has ended"),
        "{told}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    with_daemon(|daemon| {
        for line in ["route show --all", "route show --all --json"] {
            let mut child = ironlane(&daemon.socket, line)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut first = [0; 64];
            child.stdout.take().unwrap().read_exact(&mut first).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(
                output.stderr.is_empty(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(output.status.success(), "{line}: {}", output.status);
        }
    });
}

#[test]
fn a_long_listing_is_whole() {
    with_daemon(|daemon| {
        let table = stdout(daemon, "route show --all");
        assert_eq!(
            table.lines().count() as u32,
            fake::MANY + 3,
            "heading and two more"
        );
        let json = stdout(daemon, "route show --all --json");
        let routes: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(routes.len() as u32, fake::MANY + 2);
    });
}

#[test]
fn watching_shows_again_and_again() {
    with_daemon(|daemon| {
        let mut child = ironlane(&daemon.socket, "drop show --watch=0.1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut text = String::new();
        let mut stdout = child.stdout.take().unwrap();
        let mut bytes = [0; 256];
        while text.matches("MEANING").count() < 3 {
            let n = stdout.read(&mut bytes).unwrap();
            assert!(n > 0, "ended after:\n{text}");
            text.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn files_are_checked_without_a_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = write(
        "good.toml",
        "[[port]]\nname = \"p0\"\ndevice = \"net_null0\"\n",
    );
    let bad = write("bad.toml", "[lcores]\ncpsu = 1\n");
    let nowhere = Path::new("/nowhere");

    let output = ironlane(nowhere, &format!("config check {good}"))
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(
        output.stdout,
        format!("{good}: good: 1 port on 1 lcore\n").into_bytes()
    );

    let output = ironlane(nowhere, &format!("config check {good} {bad}"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        told,
        format!("{bad}:2:1: unknown key \"cpsu\" in [lcores]; did you mean \"cpus\"?\n")
    );

    let output = ironlane(nowhere, &format!("config check {good} {bad} --json"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told[0]["ports"], 1);
    assert_eq!(told[0]["faults"], serde_json::json!([]));
    let fault = &told[1]["faults"][0];
    assert_eq!((&fault["line"], &fault["column"]), (&2.into(), &1.into()));
    assert!(
        fault["message"].as_str().unwrap().contains("cpsu"),
        "{fault}"
    );

    let output = ironlane(nowhere, &format!("doctor --config {good} --json"))
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["config"], good);
    let problems = told["problems"].as_array().unwrap();
    assert_eq!(output.status.success(), problems.is_empty(), "{told}");
    // Test machines have AES-NI.
    assert_eq!(told["crypto"]["device"], "cpu", "{told}");
    let algorithms = told["crypto"]["algorithms"].as_array().unwrap();
    for name in [
        "aes-gcm-16 (128)",
        "aes-cbc/hmac-sha256-128 (256)",
        "null/hmac-sha1-96",
    ] {
        assert!(
            algorithms.iter().any(|has| has == name),
            "no {name}: {told}"
        );
    }
}

#[test]
fn a_clear_answers_programs() {
    with_daemon(|daemon| {
        assert_eq!(stdout(daemon, "stats clear"), "");
        assert_eq!(stdout(daemon, "stats clear --json"), "{}\n");
        let told: serde_json::Value =
            serde_json::from_str(&stdout(daemon, "doctor --json")).unwrap();
        assert_eq!(told["daemon"], daemon.socket.display().to_string());
    });
}

#[test]
fn the_example_passes_its_own_check() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("example.toml");
    let nowhere = Path::new("/nowhere");
    let example = ironlane(nowhere, "config example").output().unwrap().stdout;
    std::fs::write(&path, example).unwrap();
    let check = ironlane(nowhere, &format!("config check {}", path.display()))
        .output()
        .unwrap();
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stderr)
    );
}

#[test]
fn bash_takes_its_completions() {
    let script = ironlane(Path::new("/nowhere"), "completion bash")
        .output()
        .unwrap()
        .stdout;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ironlane.bash");
    std::fs::write(&path, script).unwrap();
    let checked = Command::new("bash").arg("-n").arg(&path).output().unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn charon_is_asked_and_its_answers_are_words() {
    with_daemon(|daemon| {
        let shown = stdout(daemon, "ipsec connection show");
        let lines: Vec<_> = shown.lines().collect();
        assert!(
            lines[1].starts_with("site-b        1  ESTABLISHED  192.0.2.1:500"),
            "{shown}"
        );
        assert!(
            lines[1].ends_with("INSTALLED  10.1.0.0/16 === 10.2.0.0/16"),
            "{shown}"
        );
        assert!(lines[2].starts_with("site-c        -  -"), "{shown}");

        assert_eq!(
            stdout(daemon, "ipsec initiate --child nets"),
            "nets is up\n"
        );
        let logged = stdout(daemon, "ipsec initiate --child nets --log");
        assert!(
            logged.starts_with("[IKE] initiating IKE_SA site-b[1]"),
            "{logged}"
        );
        let failed = output(daemon, "ipsec initiate --child netz");
        let said = String::from_utf8(failed.stderr).unwrap();
        assert_eq!(failed.status.code(), Some(1));
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            [
                "[IKE] initiating IKE_SA site-b[1] to 198.51.100.1",
                "charon has no child netz; there is nets"
            ]
        );
        // What was logged is whole, whatever the end.
        let failed = output(daemon, "ipsec initiate --child netz --json");
        let json: serde_json::Value = serde_json::from_slice(&failed.stdout).unwrap();
        assert_eq!(
            (failed.status.code(), &json[0]["group"]),
            (Some(1), &"IKE".into())
        );

        assert_eq!(
            stdout(daemon, "ipsec terminate --ike-id 1"),
            "1 IKE SA is down\n"
        );
        assert_eq!(
            stdout(daemon, "ipsec terminate --child nets --ike-id 2"),
            "2 CHILD SAs are down\n"
        );
        assert_eq!(
            stdout(daemon, "ipsec monitor"),
            "12:34:56.789  child-up     site-b #1 nets {3} spi in 0xc1234567 out 0xc7654321 \
             peer 198.51.100.1 b.example.org\n"
        );
    });
}
