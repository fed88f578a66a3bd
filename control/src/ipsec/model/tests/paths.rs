//! Path MTUs: errors about SAs of ours count, others do not.

use std::net::IpAddr;

use super::*;

fn too_big(spi: u32, mtu: u32) -> TooBig {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    TooBig {
        src: address("192.0.2.1"),
        dst: address("198.51.100.1"),
        quoted: Quoted::Plain(Protocol::Esp, spi),
        mtu,
        by: address("203.0.113.1"),
    }
}

#[test]
fn an_error_about_an_sa_counts_for_its_peer_for_ten_minutes() {
    let mut b = bench();
    let mut new = sa(Direction::Out, 0x1001);
    new.lifetime = Lifetime::default();
    b.add_sa(new);
    assert_eq!(b.model.take_paths(), None);
    let peer: IpAddr = "198.51.100.1".parse().unwrap();
    let tell = |b: &mut Bench, mtu, after_s| {
        let now = b.now + Duration::from_secs(after_s);
        b.model.too_big(&too_big(0x1001, mtu), now);
        b.model.take_paths()
    };
    assert_eq!(tell(&mut b, 1400, 0), Some(vec![(peer, 1400)]));
    assert_eq!(tell(&mut b, 1400, 1), None, "known");
    assert_eq!(tell(&mut b, 1450, 1), None, "never raised");
    assert_eq!(tell(&mut b, 1380, 2), Some(vec![(peer, 1380)]));
    assert_eq!(tell(&mut b, 0, 3), Some(vec![(peer, 552)]), "never below");
    let views = b.model.sas(b.now);
    assert_eq!(views[0].path_mtu, Some(552));
    b.after(602);
    assert_eq!(b.model.take_paths(), None, "it counts yet");
    b.after(603);
    assert_eq!(b.model.take_paths(), Some(vec![]));
    assert_eq!(b.model.sas(b.now)[0].path_mtu, None);
}

#[test]
fn errors_about_what_was_never_sent_do_not_count() {
    let mut b = bench();
    b.add_sa(sa(Direction::Out, 0x1001));
    b.add_sa(sa(Direction::In, 0x2001));
    let other = |change: fn(&mut TooBig)| {
        let mut it = too_big(0x1001, 1400);
        change(&mut it);
        it
    };
    let encap = |src_port| UdpEncap {
        src_port,
        dst_port: 4500,
    };
    let strange = [
        too_big(0x1002, 1400),
        other(|it| it.src = "192.0.2.2".parse().unwrap()),
        other(|it| it.dst = "198.51.100.2".parse().unwrap()),
        other(|it| it.quoted = Quoted::Plain(Protocol::Ah, 0x1001)),
        other(|it| {
            let encap = UdpEncap {
                src_port: 4500,
                dst_port: 4500,
            };
            it.quoted = Quoted::Udp(encap, Some(0x1001));
        }),
        // Of an inbound SA.
        other(|it| {
            (it.src, it.dst) = (it.dst, it.src);
            it.quoted = Quoted::Plain(Protocol::Esp, 0x2001);
        }),
    ];
    for it in strange {
        b.model.too_big(&it, b.now);
        assert_eq!(b.model.take_paths(), None, "{it:?}");
    }
    // In UDP the ports count, whether the SPI was quoted or not.
    let mut in_udp = sa(Direction::Out, 0x1003);
    in_udp.spec.encap = Some(encap(4500));
    b.add_sa(in_udp);
    for (port, spi, counts) in [
        (4501, None, false),
        (4501, Some(0x1003), false),
        (4500, Some(0x1004), false),
        (4500, None, true),
    ] {
        let mut it = too_big(0, 1400);
        it.quoted = Quoted::Udp(encap(port), spi);
        b.model.too_big(&it, b.now);
        assert_eq!(b.model.take_paths().is_some(), counts, "{it:?}");
    }
}
