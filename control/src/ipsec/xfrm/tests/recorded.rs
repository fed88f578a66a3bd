//! What a real kernel says, as recorded.

use ironlane_ipsec::{Auth, Cipher, Df, Direction, Dscp, Mark, Mode};

use super::*;

fn new(spi: u32, direction: Direction) -> crate::ipsec::model::NewSa {
    listed(spi).to_new(direction, 0).unwrap()
}

fn refusal(spi: u32, direction: Direction) -> String {
    listed(spi).to_new(direction, 0).unwrap_err().to_string()
}

#[test]
fn every_sa_of_a_list_is_read() {
    let all = all_told("xfrm-dump.bin");
    let mut spis: Vec<_> = sas(&all).map(|sa| sa.key.spi).collect();
    spis.sort_unstable();
    // IPComp (0x10a), and the tunnel that Linux makes for it, are none of ours.
    let expected: Vec<_> = (0x101..=0x109).chain([0x10b, 0x2000]).collect();
    assert_eq!(spis, expected);
    let larval: Vec<_> = sas(&all).filter(|sa| sa.is_larval()).collect();
    assert_eq!(larval.len(), 1, "the one of allocspi");
}

#[test]
fn keys_limits_and_numbers_arrive() {
    let sa = new(0x101, Direction::Out);
    let spec = &sa.spec;
    assert_eq!(spec.algorithm.cipher, Cipher::AesGcm { icv: 16 });
    assert_eq!(spec.enc_key.expose(), [0xa1; 20]);
    assert_eq!(spec.src.to_string(), "192.0.2.1");
    assert_eq!(spec.dst.to_string(), "198.51.100.1");
    assert_eq!((spec.reqid, spec.replay_window, spec.esn), (1, 32, false));
    // As it was updated.
    assert_eq!(spec.limits.soft_bytes, 1_500_000);
    assert_eq!(spec.limits.hard_bytes, 2_000_000);
    let esn = new(0x102, Direction::In);
    assert_eq!((esn.spec.esn, esn.spec.replay_window), (true, 64));
    assert_eq!(listed(0x102).last_possible(), u64::MAX);
    let timed = new(0x10b, Direction::Out).lifetime;
    assert_eq!(timed.hard.map(|limit| limit.as_secs()), Some(2));
}

#[test]
fn modes_algorithms_and_flags_arrive() {
    let transport = new(0x103, Direction::Out).spec;
    assert_eq!(transport.mode, Mode::Transport);
    assert_eq!(transport.algorithm.auth, Auth::HmacSha256_128);
    assert_eq!(transport.auth_key.expose(), [0xc3; 32]);
    let ah = new(0x104, Direction::Out).spec;
    assert_eq!(ah.algorithm.auth, Auth::HmacSha1_96);
    let in_udp = new(0x105, Direction::Out).spec;
    assert_eq!(in_udp.algorithm.cipher, Cipher::ChaCha20Poly1305);
    let encap = in_udp.encap.unwrap();
    assert_eq!((encap.src_port, encap.dst_port), (4500, 1027));
    assert_eq!((in_udp.df, in_udp.dscp), (Df::Clear, Dscp::Set(0)));
    assert_eq!(in_udp.if_id, 0x2a);
    let beet = new(0x106, Direction::Out).spec;
    assert_eq!(
        (beet.mode, beet.selectors.len(), beet.ecn),
        (Mode::Beet, 1, false)
    );
    let mark = Mark {
        value: 7,
        mask: 0xff,
    };
    assert_eq!(beet.mark, mark);
    assert_eq!(beet.check(), Ok(()));
}

#[test]
fn what_lcores_cannot_do_is_refused_by_name() {
    let cases = [
        (0x107, Direction::In, "decap-dscp"),
        (0x107, Direction::Out, "output-mark"),
        (0x108, Direction::Out, "cbc(des3_ede)"),
        (0x109, Direction::Out, "oseq-may-wrap"),
    ];
    for (spi, direction, why) in cases {
        let refusal = refusal(spi, direction);
        assert!(refusal.contains(why), "{refusal}");
    }
    let hidden = KernelSa {
        algorithms: Algorithms {
            aead: Some(Named {
                key: ironlane_ipsec::Secret::new(&[0; 20]).unwrap(),
                ..listed(0x101).algorithms.aead.unwrap()
            }),
            ..Algorithms::default()
        },
        ..listed(0x101)
    };
    let refusal = hidden.to_new(Direction::Out, 0).unwrap_err().to_string();
    assert!(refusal.contains("lockdown"), "{refusal}");
}

#[test]
fn every_policy_of_a_list_is_read() {
    let all = all_told("xfrm-dump.bin");
    let words: Vec<_> = policies(&all)
        .filter_map(KernelPolicy::to_use)
        .map(|(key, of, refused)| {
            let why = refused.map_or(String::new(), |why| format!(": {why}"));
            format!("{key} {:?}{why}", of.verdict)
        })
        .collect();
    let sockets = policies(&all).filter(|policy| policy.direction.is_none());
    assert_eq!(sockets.count(), 2, "in and out of the socket");
    let expected = [
        "policy out 10.7.0.0/16 to 10.8.0.0/16 Discard",
        "policy out 10.1.0.0/16 to 10.2.0.0/16 Protect",
        "policy out 10.1.0.0/16 to 10.6.0.0/16 Discard: a selector that is bound to an interface (dev)",
        "policy out 10.1.0.0/16 to 10.9.0.0/16 if_id 42 Bypass",
        "policy out 10.3.0.0/16[1/2048] to 10.4.0.0/16[1] Discard",
        "policy out 2001:db8:1::1/128[6] to 2001:db8:2::1/128[6/443] Protect",
        "policy fwd 10.2.0.0/16 to 10.1.0.0/16 Protect",
        "policy in 10.2.0.0/16 to 10.1.0.0/16 Protect",
    ];
    assert_eq!(words, expected);
    let default = all.iter().find_map(|told| match told {
        Told::Default(blocked) => Some(*blocked),
        _ => None,
    });
    let forwarded = Blocked {
        forwarded: true,
        ..Blocked::default()
    };
    assert_eq!(default, Some(forwarded));
}

#[test]
fn what_a_monitor_hears_leaves_what_the_list_has_and_in_the_end_nothing() {
    let mut b = bench();
    let mut most = (0, 0);
    for told in all_told("xfrm-monitor.bin") {
        b.apply(told);
        most = most.max((b.spis().len(), b.policies().len()));
    }
    // Of 0x101 to 0x10b: 3DES, decap-dscp, wrapping and IPComp are refused, and one's time is over.
    assert_eq!(most.0, 6);
    assert!(b.spis().is_empty(), "{:x?}", b.spis());
    assert!(b.policies().is_empty(), "{:?}", b.policies());
    let said = b.kernel.said();
    let taken: Vec<_> = said.iter().filter(|s| s.starts_with("take")).collect();
    assert!(
        !taken.iter().any(|said| said.contains("0x102")),
        "inbound: {taken:?}"
    );
    assert!(taken.iter().any(|said| said.contains("0x101")), "{taken:?}");
}

#[test]
fn what_is_refused_is_counted_and_named() {
    let mut b = bench();
    for told in all_told("xfrm-dump.bin") {
        b.apply(told);
    }
    let report = b.books.report();
    assert_eq!(report.sas, b.spis().len());
    assert_eq!(
        report.refused_sas + report.refused_policies,
        report.refused.len()
    );
    assert_eq!(report.refused_policies, 1);
    let notes = report.notes();
    assert_eq!(notes.len(), report.refused.len());
    let is_noted = |subject: &str, why: &str| {
        notes
            .iter()
            .any(|note| note.contains(subject) && note.contains(why))
    };
    assert!(is_noted("0x00000108", "cbc(des3_ede)"), "{notes:#?}");
    assert!(is_noted("0x00000109", "oseq-may-wrap"), "{notes:#?}");
    assert!(
        is_noted("policy out 10.1.0.0/16 to 10.6.0.0/16", "(dev)"),
        "{notes:#?}"
    );
    // A policy that is told anew without what lcores cannot do, and the end of all.
    let all = all_told("xfrm-dump.bin");
    let refused = policies(&all).find(|policy| matches!(policy.to_use(), Some((_, _, Some(_)))));
    let mut mended = refused.unwrap().clone();
    mended.selector = policies(&all).find(|p| p.priority == 90).unwrap().selector;
    b.apply(Told::Policy(Box::new(mended)));
    assert_eq!(b.books.report().refused_policies, 0);
    b.apply(Told::SasFlushed(0));
    b.apply(Told::PoliciesFlushed);
    let empty = XfrmReport::default();
    assert_eq!(b.books.report(), empty);
    assert!(empty.notes().is_empty());
}

#[test]
fn sas_and_policies_of_an_ipsec_interface_are_its_own() {
    let mut b = bench();
    for told in all_told("xfrm-dump.bin") {
        b.apply(told);
    }
    let views = b.shared.with(|model| model.sas(std::time::Instant::now()));
    let of_interface: Vec<_> = views.iter().filter(|view| view.spec.if_id == 42).collect();
    assert_eq!(of_interface.len(), 1);
    assert_eq!(
        (of_interface[0].key.spi, of_interface[0].source),
        (0x105, Source::Kernel)
    );
    let policies = b.policies();
    assert!(
        policies.iter().any(|policy| policy.contains("if_id 42")),
        "{policies:?}"
    );
    // Without the interface both are refused by name.
    let mut b = bench();
    b.shared.with(|model| model.set_interfaces(Vec::new()));
    for told in all_told("xfrm-dump.bin") {
        b.apply(told);
    }
    let notes = b.books.report().notes();
    let of_42: Vec<_> = notes
        .iter()
        .filter(|note| note.contains("if_id 42"))
        .collect();
    assert!(of_42.len() == 2, "{notes:#?}");
}

#[test]
fn templates_that_lcores_cannot_follow_become_drops() {
    let all = all_told("xfrm-dump.bin");
    let tunnel = policies(&all).find(|p| p.priority == 90).unwrap();
    let template = tunnel.templates[0];
    let refusal = |templates: &[Template]| {
        let policy = KernelPolicy {
            templates: templates.to_vec(),
            ..tunnel.clone()
        };
        let (_, of, why) = policy.to_use().unwrap();
        let dropped = of.verdict == crate::ipsec::model::Verdict::Discard;
        assert_eq!(dropped, why.is_some());
        why.map_or(String::new(), |why| why.to_string())
    };
    assert_eq!(refusal(&[template]), "");
    let cases = [
        (vec![template, template], "several templates"),
        (
            vec![Template {
                optional: true,
                ..template
            }],
            "level use",
        ),
        (
            vec![Template {
                protocol: 108,
                ..template
            }],
            "protocol 108",
        ),
        (
            vec![Template {
                mode: 2,
                ..template
            }],
            "mode 2",
        ),
        (
            vec![Template {
                mode: 0,
                ..template
            }],
            "transport mode to a network",
        ),
    ];
    for (templates, why) in cases {
        let said = refusal(&templates);
        assert!(said.contains(why), "{said}");
    }
}
