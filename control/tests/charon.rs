//! Real charons negotiate for two routers. Needs root and strongSwan.

mod sites;

use std::time::{Duration, Instant};

use ironlane_control::ipsec::model::{PortUse, SaView};
use ironlane_ipsec::{Direction, Event, Flow, PolicyDirection};
use sites::{Sites, Wanted, agree, wait_for};

#[test]
fn a_child_sa_is_installed_on_both_sides_with_the_same_keys() {
    let Some(sites) = Sites::up("installed", Wanted::default()) else {
        return;
    };
    let (a, b) = (&sites.a, &sites.b);
    let began = Instant::now();
    a.swanctl("--initiate --child c");
    let took = began.elapsed();
    println!("initiated in {took:?}");
    // Nothing between get_spi and add_sa waits: neither for a timer nor for a lookup.
    assert!(took < Duration::from_secs(2), "{took:?}");

    assert!(agree(a, b) && agree(b, a));
    for site in [a, b] {
        let (inbound, outbound) = (site.sas(Direction::In), site.sas(Direction::Out));
        assert_eq!((inbound.len(), outbound.len()), (1, 1));
        assert_eq!(inbound[0].spec.algorithm.to_string(), "aes-gcm-16");
        assert_eq!(inbound[0].spec.enc_key.len_bytes(), 20);
        assert!(inbound[0].soft_in_s.is_some() && inbound[0].hard_in_s.is_some());
        let policies = site.shared.with(|model| model.policies());
        let directions: Vec<_> = policies.iter().map(|p| p.key.direction).collect();
        assert_eq!(
            directions,
            [
                PolicyDirection::In,
                PolicyDirection::Out,
                PolicyDirection::Fwd
            ]
        );
        assert_eq!(
            site.shared.with(|model| model.ports(PortUse::Bypass)),
            [500, 4500]
        );
        assert_eq!(
            site.shared.with(|model| model.ports(PortUse::Decapsulate)),
            [4500]
        );
    }

    // What lcores count is what charon shows.
    a.count(&a.sending().unwrap(), 42, 101);
    let shown = a.swanctl("--list-sas");
    assert!(
        shown.contains("4242 bytes") && shown.contains("42 packets") && shown.contains("10s ago"),
        "{shown}"
    );

    a.swanctl("--terminate --ike s");
    for site in [a, b] {
        wait_for("all is gone", || {
            site.shared
                .with(|m| m.sas(Instant::now()).is_empty() && m.policies().is_empty())
                .then_some(())
        });
    }
}

#[test]
fn sas_are_rekeyed_by_time_and_one_can_always_send() {
    let wanted = Wanted {
        child: "rekey_time = 2s\n life_time = 30s\n rand_time = 0s",
        ..Wanted::default()
    };
    let Some(sites) = Sites::up("rekeyed", wanted) else {
        return;
    };
    let (a, b) = (&sites.a, &sites.b);
    a.swanctl("--initiate --child c");
    let first = a.sending().unwrap().key;
    let mut seen = vec![first];
    // Both ends at every moment: what one sends, the other can decrypt.
    wait_for("three SAs", || {
        assert!(agree(a, b), "a sends what b has no SA for");
        assert!(agree(b, a), "b sends what a has no SA for");
        let now = a.sending().unwrap().key;
        if !seen.contains(&now) {
            seen.push(now);
        }
        (seen.len() == 3).then_some(())
    });
    wait_for("the first one is deleted on both sides", || {
        let gone = |sas: Vec<SaView>| sas.iter().all(|sa| sa.key != first);
        (gone(a.sas(Direction::Out)) && gone(b.sas(Direction::In))).then_some(())
    });
}

#[test]
fn an_sa_that_has_carried_enough_is_rekeyed() {
    let wanted = Wanted {
        child: "rekey_packets = 100\n life_packets = 1000\n rand_packets = 0",
        ..Wanted::default()
    };
    let Some(sites) = Sites::up("packets", wanted) else {
        return;
    };
    let (a, b) = (&sites.a, &sites.b);
    a.swanctl("--initiate --child c");
    let before = a.sas(Direction::In).remove(0);
    a.count(&before, 99, 1400);
    assert!(!a.log().contains("creating rekey job"));
    a.count(&before, 1, 1400);
    a.wait_for_log(&format!(
        "creating rekey job for CHILD_SA ESP/0x{:08x}",
        before.key.spi
    ));
    wait_for("new SAs", || {
        let new = a.sas(Direction::In).iter().any(|sa| sa.key != before.key);
        (new && agree(a, b) && agree(b, a)).then_some(())
    });
}

#[test]
fn what_the_router_refuses_the_peer_hears_of() {
    let wanted = Wanted {
        b_refuses: true,
        ..Wanted::default()
    };
    let Some(sites) = Sites::up("refused", wanted) else {
        return;
    };
    let (a, b) = (&sites.a, &sites.b);
    let initiated = a.try_swanctl("--initiate --child c");
    assert!(!initiated.status.success());
    assert!(a.log().contains("NO_PROPOSAL_CHOSEN"), "{}", a.log());
    b.wait_for_log("the crypto device refuses aes-gcm-16: it is played by a test, and refuses");
    for site in [a, b] {
        assert!(
            site.shared
                .with(|m| m.sas(Instant::now()).is_empty() && m.policies().is_empty())
        );
    }
}

#[test]
fn a_lost_connection_changes_nothing() {
    let Some(mut sites) = Sites::up("connection", Wanted::default()) else {
        return;
    };
    sites.a.swanctl("--initiate --child c");
    let ids = |sites: &Sites| {
        let sas = sites.a.shared.with(|model| model.sas(Instant::now()));
        sas.iter().map(|sa| (sa.id, sa.key)).collect::<Vec<_>>()
    };
    let before = ids(&sites);
    sites.a.count(&sites.a.sending().unwrap(), 3, 100);
    sites.a.hang_up();
    assert!(agree(&sites.a, &sites.b) && agree(&sites.b, &sites.a));
    sites.a.listen();
    sites
        .a
        .wait_for_log("told the router again of 2 SAs and 3 uses of policies");
    assert_eq!(ids(&sites), before, "the same SAs, with their state");
    assert_eq!(sites.a.sending().unwrap().stats.packets, 3);
    assert_eq!(sites.a.shared.with(|model| model.policies().len()), 3);
}

#[test]
fn a_trap_that_charon_installed_before_the_router_came_is_told_when_it_comes() {
    let Some(mut sites) = Sites::up("early", Wanted::default()) else {
        return;
    };
    sites.a.hang_up();
    sites
        .a
        .wait_for_log("the connection to the router has ended");
    sites.a.swanctl("--install --child c");
    assert!(sites.a.shared.with(|model| model.policies().is_empty()));
    sites.a.listen();
    wait_for("the trap", || {
        (sites.a.shared.with(|model| model.policies().len()) == 3).then_some(())
    });
    sites.a.swanctl("--uninstall --child c");
    wait_for("no policy", || {
        let none = sites.a.shared.with(|model| model.policies().is_empty());
        none.then_some(())
    });
}

#[test]
fn a_router_that_restarts_gets_back_what_it_may_and_new_sas_to_send_by() {
    let Some(mut sites) = Sites::up("restarted", Wanted::default()) else {
        return;
    };
    sites.a.swanctl("--initiate --child c");
    let inbound = sites.a.sas(Direction::In).remove(0);
    let outbound = sites.a.sending().unwrap();
    sites.a.restart();
    let (a, b) = (&sites.a, &sites.b);
    a.wait_for_log("told the router again of 1 SAs and 3 uses of policies");
    // A sequence number used twice would break GCM: never the old key again.
    wait_for("a new SA to send by", || {
        assert!(
            a.sas(Direction::Out)
                .iter()
                .all(|sa| sa.key != outbound.key)
        );
        (agree(a, b) && agree(b, a)).then_some(())
    });
    a.wait_for_log("1 outbound SAs are rekeyed");
    wait_for("the old inbound SA is deleted by the rekey", || {
        let old = a
            .sas(Direction::In)
            .into_iter()
            .find(|sa| sa.key == inbound.key);
        if let Some(old) = &old {
            assert!(old.spec.enc_key == inbound.spec.enc_key);
        }
        old.is_none().then_some(())
    });
}

#[test]
fn a_packet_without_an_sa_and_a_peer_that_moved_are_heard_of() {
    let wanted = Wanted {
        child: "start_action = trap",
        ..Wanted::default()
    };
    let Some(sites) = Sites::up("acquired", wanted) else {
        return;
    };
    let (a, b) = (&sites.a, &sites.b);
    let policy = wait_for("a trap", || a.shared.with(|model| model.policies().pop()));
    assert!(a.sending().is_none());
    let (src, dst) = (
        "192.168.1.9".parse().unwrap(),
        "192.168.2.9".parse().unwrap(),
    );
    let flow = Flow {
        src,
        dst,
        proto: 17,
        ports: Some((4000, 53)),
    };
    let out = wait_for("the outbound trap", || {
        let policies = a.shared.with(|model| model.policies());
        policies
            .into_iter()
            .find(|p| p.key.direction == PolicyDirection::Out)
    });
    assert!(!policy.ids.is_empty());
    a.tables.events().push(Event::Acquire {
        policy: out.ids[0],
        flow,
    });
    wait_for("SAs", || (agree(a, b) && agree(b, a)).then_some(()));

    let inbound = a.sas(Direction::In).remove(0);
    let moved = Event::PeerMoved {
        sa: inbound.id,
        addr: "10.0.255.2".parse().unwrap(),
        port: 1027,
    };
    a.tables.events().push(moved);
    a.wait_for_log("changed to 10.0.255.2[1027]");
}

#[test]
fn addresses_that_change_change_in_the_sas() {
    let Some(sites) = Sites::up("moved", Wanted::default()) else {
        return;
    };
    let (a, b) = (&sites.a, &sites.b);
    a.on("ip addr add 10.0.255.101/25 dev eth0");
    a.swanctl("--initiate --child c");
    let id = a.sending().unwrap().id;
    a.on("ip addr del 10.0.255.1/24 dev eth0");
    // MOBIKE: the address that carried the IKE SA is gone, another one takes over.
    wait_for("other addresses", || {
        let out = b.sending()?;
        (out.key.dst.to_string() == "10.0.255.101").then_some(())
    });
    wait_for("both sides agree", || {
        (agree(a, b) && agree(b, a)).then_some(())
    });
    assert_eq!(a.sending().unwrap().id, id, "changed in place");
}
