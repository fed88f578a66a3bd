//! The mirror of XFRM against the real kernel, which needs no ESP for policies. Needs root.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ironlane_control::ipsec::charon::Shared;
use ironlane_control::ipsec::model::{Model, Tables};
use ironlane_control::ipsec::xfrm::{XfrmError, XfrmMirror, XfrmOptions};
use ironlane_ipsec::{Ipsec, Writer};
use ironlane_rcu::Domain;

/// A network namespace that goes when the test ends.
struct Netns(String);

impl Netns {
    /// `None` where the test cannot run.
    fn add(name: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            println!("SKIP xfrm/{name}: network namespaces need root");
            return None;
        }
        let netns = Self(format!("xfrm-{name}-{}", std::process::id()));
        let added = Command::new("ip").args(["netns", "add", &netns.0]).status();
        assert!(added.unwrap().success());
        Some(netns)
    }

    /// What `ip xfrm` says.
    fn ip(&self, words: &str) -> String {
        let mut command = Command::new("ip");
        command.args(["-n", &self.0, "xfrm"]).args(words.split(' '));
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn options(&self) -> XfrmOptions {
        XfrmOptions {
            netns: Some(format!("/run/netns/{}", self.0).into()),
            receive_buffer_bytes: 1 << 20,
            ..XfrmOptions::default()
        }
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn shared() -> Shared {
    let ipsec = Arc::new(Ipsec::new(&Domain::new()));
    let tables = Tables::new(Writer::without_device(ipsec), || 1000);
    Shared::new(Model::new(Box::new(tables)), 1)
}

/// Waits until lcores have these policies, in the order in which they decide.
fn wait_for(shared: &Shared, expected: &[&str]) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let views = shared.with(|model| model.policies());
        let word = |view: &ironlane_control::ipsec::model::PolicyView| {
            format!("{} {:?}", view.key, view.of.verdict)
        };
        let words: Vec<_> = views.iter().map(word).collect();
        if words == expected {
            return;
        }
        assert!(Instant::now() < end, "{words:#?}, not {expected:#?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn policies_are_followed_from_the_list_to_the_flush() {
    let Some(netns) = Netns::add("policies") else {
        return;
    };
    let out = "policy add dir out src 10.1.0.0/16 dst";
    netns.ip(&format!("{out} 10.2.0.0/16 priority 7 action block"));
    let shared = shared();
    let mirror = XfrmMirror::start(netns.options(), shared.clone()).unwrap();
    let block = "policy out 10.1.0.0/16 to 10.2.0.0/16 Discard";
    wait_for(&shared, &[block]);
    netns.ip(&format!(
        "{out} 10.3.0.0/16 priority 5 tmpl src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel"
    ));
    let tunnel = "policy out 10.1.0.0/16 to 10.3.0.0/16 Protect";
    wait_for(&shared, &[tunnel, block]);
    netns.ip("policy setdefault out block");
    let defaults = [
        "policy out 0.0.0.0/0 to 0.0.0.0/0 Discard",
        "policy out ::/0 to ::/0 Discard",
    ];
    wait_for(&shared, &[tunnel, block, defaults[0], defaults[1]]);
    netns.ip("policy setdefault out accept");
    netns.ip("policy delete dir out src 10.1.0.0/16 dst 10.2.0.0/16");
    wait_for(&shared, &[tunnel]);
    netns.ip("policy flush");
    wait_for(&shared, &[]);
    assert!(mirror.is_running());
}

#[test]
fn lost_events_lead_to_a_new_list() {
    let Some(netns) = Netns::add("overrun") else {
        return;
    };
    let shared = shared();
    // Room for a few events, of more that come at once.
    let options = XfrmOptions {
        receive_buffer_bytes: 1 << 12,
        ..netns.options()
    };
    let _mirror = XfrmMirror::start(options, shared.clone()).unwrap();
    let batch: String = (0..2000)
        .map(|n| {
            let (a, b) = (n / 250, n % 250);
            format!("xfrm policy add dir out src 10.1.0.0/16 dst 10.{a}.{b}.0/24 action block\n")
        })
        .collect();
    let file = std::env::temp_dir().join(&netns.0);
    std::fs::write(&file, batch).unwrap();
    let status = Command::new("ip")
        .args(["-n", &netns.0, "-batch"])
        .arg(&file)
        .status();
    std::fs::remove_file(&file).unwrap();
    assert!(status.unwrap().success());
    let end = Instant::now() + Duration::from_secs(20);
    while shared.with(|model| model.policies().len()) != 2000 {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(50));
    }
    netns.ip("policy flush");
    wait_for(&shared, &[]);
}

#[test]
fn the_policy_for_own_ip6_packets_comes_back_and_goes_with_the_mirror() {
    let Some(netns) = Netns::add("own") else {
        return;
    };
    let options = XfrmOptions {
        pass_ip6: true,
        ..netns.options()
    };
    let shared = shared();
    let mirror = XfrmMirror::start(options, shared.clone()).unwrap();
    let is_there = || netns.ip("policy").contains("src ::/0 dst ::/0");
    let wait = |wanted: bool| {
        let end = Instant::now() + Duration::from_secs(10);
        while is_there() != wanted {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait(true);
    netns.ip("policy flush");
    wait(true);
    wait_for(&shared, &[]);
    drop(mirror);
    wait(false);
}

#[test]
fn a_namespace_that_is_not_there_and_a_tap_that_is_not_are_told() {
    let Some(netns) = Netns::add("missing") else {
        return;
    };
    let no_tap = XfrmOptions {
        taps: vec!["nothere".into()],
        ..netns.options()
    };
    let refused = XfrmMirror::start(no_tap, shared()).unwrap_err();
    assert!(matches!(refused, XfrmError::Tap(_)), "{refused}");
    assert!(refused.to_string().contains("nothere/disable_xfrm"));
    let no_netns = XfrmOptions {
        netns: Some("/run/netns/not-there".into()),
        ..XfrmOptions::default()
    };
    let refused = XfrmMirror::start(no_netns, shared()).unwrap_err();
    assert!(refused.to_string().contains("not-there"), "{refused}");
}
