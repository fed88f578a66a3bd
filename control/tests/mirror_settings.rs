//! Kernel settings and namespaces, as the mirror sees them from where it is.

mod mirror;

use ironlane_control::netlink::sysctl::{Settings, Severity};
use ironlane_control::netlink::{Mirror, MirrorOptions};
use ironlane_fib::{Tables, Writer};
use ironlane_rcu::Domain;
use mirror::{World, allowed};

fn breaking(world: &World) -> Vec<String> {
    let findings = world
        .handle
        .with_blocking(|_| Settings::default().findings(["p0"]))
        .unwrap();
    let breaking = findings
        .into_iter()
        .filter(|finding| finding.severity == Severity::Breaks);
    breaking.map(|finding| finding.setting).collect()
}

#[test]
fn settings_that_break_forwarding_are_found_in_the_namespace_of_the_mirror() {
    if !allowed() {
        return;
    }
    let world = World::new();
    for setting in ["ipv4.conf.all.rp_filter", "ipv4.conf.p0.rp_filter"] {
        world.r.run(&format!("sysctl -qw net.{setting}=0"));
    }
    assert_eq!(breaking(&world), [""; 0]);
    for (setting, bad, good) in [
        ("net.ipv4.ip_forward", 0, 1),
        ("net.ipv4.conf.p0.forwarding", 0, 1),
        ("net.ipv4.conf.p0.rp_filter", 1, 0),
        ("net.ipv4.conf.all.rp_filter", 1, 0),
        ("net.ipv4.conf.all.ignore_routes_with_linkdown", 1, 0),
        ("net.ipv4.conf.p0.ignore_routes_with_linkdown", 1, 0),
        ("net.ipv6.conf.p0.ignore_routes_with_linkdown", 1, 0),
        ("net.ipv6.conf.p0.disable_ipv6", 1, 0),
        ("net.ipv6.conf.p0.forwarding", 0, 1),
    ] {
        world.r.run(&format!("sysctl -qw {setting}={bad}"));
        assert!(
            breaking(&world).iter().any(|found| found.contains(setting)),
            "{setting}"
        );
        world.r.run(&format!("sysctl -qw {setting}={good}"));
        assert!(
            !breaking(&world).iter().any(|found| found == setting),
            "{setting}"
        );
    }
}

#[test]
fn a_namespace_that_does_not_exist_is_refused_by_name() {
    let domain = Domain::new();
    let writer = Writer::new(std::sync::Arc::new(Tables::new(&domain)), domain);
    let options = MirrorOptions {
        netns: Some("/run/netns/no-such-one".into()),
        ..MirrorOptions::default()
    };
    let error = Mirror::start(options, writer, Box::new(|_| {}))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("network namespace /run/netns/no-such-one: No such file"),
        "{error}"
    );
}

#[test]
fn a_stopped_mirror_leaves_the_tables_and_answers_so() {
    if !allowed() {
        return;
    }
    let world = World::new();
    world.wait_kind("192.0.2.1", ironlane_fib::AdjacencyKind::Local);
    let World {
        mirror,
        handle,
        tables,
        domain,
        ..
    } = world;
    mirror.stop();
    let error = handle.with_blocking(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "the mirror has stopped");
    let mut reader = Domain::register(&domain).unwrap();
    let guard = reader.read();
    let local = mirror::compare::lookup(&tables, &guard, "192.0.2.1".parse().unwrap());
    assert_eq!(local[0].kind(), ironlane_fib::AdjacencyKind::Local);
}
