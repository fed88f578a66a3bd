//! Writes bodies as the plugin does (`message.c`), and compares what is read with what was written.

use std::net::IpAddr;

use ironlane_ipsec::{Mark, Mode, PolicyDirection, Protocol, Secret};

use super::super::answer::{put_address, put_selector};
use super::super::decode;
use super::super::request::*;
use crate::ipsec::model::{Class, PortUse, Verdict};

/// Appends numbers of any width to a body.
macro_rules! put {
    ($body:expr, $($value:expr),+ $(,)?) => {{ $( $body.extend($value.to_be_bytes()); )+ }};
}

pub(super) fn ts(net: &str) -> Ts {
    Ts::net(net.parse().unwrap())
}

fn put_bytes(body: &mut Vec<u8>, bytes: &[u8]) {
    put!(body, bytes.len() as u16);
    body.extend(bytes);
}

fn put_name(body: &mut Vec<u8>, name: &SaName) {
    body.push(name.protocol.number());
    put!(body, name.spi);
    put_address(body, name.src);
    put_address(body, name.dst);
    put!(body, name.mark.value, name.mark.mask, name.if_id);
}

fn put_selectors(body: &mut Vec<u8>, all: &[Ts]) {
    put!(body, all.len() as u16);
    all.iter().for_each(|ts| put_selector(body, ts));
}

pub(super) fn name_body(name: &SaName) -> Vec<u8> {
    let mut body = Vec::new();
    put_name(&mut body, name);
    body
}

pub(super) fn sa_body(sa: &AddSa) -> Vec<u8> {
    let mut body = name_body(&sa.name);
    let mode = match sa.mode {
        Mode::Transport => 1u8,
        Mode::Tunnel => 2,
        Mode::Beet => 3,
    };
    put!(body, sa.reqid, mode, sa.flags, sa.dscp, sa.enc_alg);
    put_bytes(&mut body, sa.enc_key.expose());
    put!(body, sa.int_alg);
    put_bytes(&mut body, sa.int_key.expose());
    put!(
        body,
        sa.replay_window,
        sa.tfc,
        sa.ports.0,
        sa.ports.1,
        sa.set_mark.value,
        sa.set_mark.mask
    );
    let l = sa.lifetimes;
    put!(
        body,
        l.hard_s,
        l.soft_s,
        l.hard_bytes,
        l.soft_bytes,
        l.hard_packets,
        l.soft_packets,
        sa.age_ms
    );
    put_selectors(&mut body, &sa.src_ts);
    put_selectors(&mut body, &sa.dst_ts);
    put_bytes(&mut body, sa.interface.as_bytes());
    body
}

pub(super) fn policy_body(name: &PolicyName, of: Option<&UseOfPolicy>) -> Vec<u8> {
    let mut body = vec![name.direction as u8];
    put_selector(&mut body, &name.src);
    put_selector(&mut body, &name.dst);
    put!(body, name.mark.value, name.mark.mask, name.if_id);
    put_bytes(&mut body, name.interface.as_bytes());
    if let Some(of) = of {
        let verdict = match of.verdict {
            Verdict::Protect => 1u8,
            Verdict::Bypass => 2,
            Verdict::Discard => 3,
        };
        let mode = of.mode.map_or(0, |mode| mode as u8 + 1);
        put!(body, verdict, of.class as u8, of.priority, of.reqid, mode);
        put!(body, of.protocol.map_or(0, Protocol::number), of.spi);
        put_address(&mut body, of.src);
        put_address(&mut body, of.dst);
    }
    body
}

pub(super) fn hello_body(version: u16, instance: u64) -> Vec<u8> {
    let mut body = Vec::new();
    put!(body, version, instance);
    put_bytes(&mut body, b"strongSwan 5.9.8");
    body
}

/// An inbound AES-GCM tunnel.
pub(super) fn sample_sa(spi: u32) -> AddSa {
    let addr = |text: &str| text.parse::<IpAddr>().unwrap();
    AddSa {
        name: SaName {
            protocol: Protocol::Esp,
            spi,
            src: addr("198.51.100.1"),
            dst: addr("192.0.2.1"),
            mark: Mark::default(),
            if_id: 0,
        },
        reqid: 7,
        mode: Mode::Tunnel,
        flags: flag::INBOUND | flag::COPY_DF | flag::COPY_ECN,
        dscp: 0,
        enc_alg: 20,
        enc_key: Secret::new(&[0xa5; 20]).unwrap(),
        int_alg: 1024,
        int_key: Secret::EMPTY,
        replay_window: 32,
        tfc: 0,
        ports: (0, 0),
        set_mark: Mark::default(),
        lifetimes: Lifetimes {
            hard_s: 3600,
            soft_s: 3000,
            hard_bytes: 1 << 40,
            soft_bytes: 1 << 39,
            hard_packets: 0,
            soft_packets: 0,
        },
        age_ms: 12,
        src_ts: vec![ts("10.2.0.0/16"), ts("2001:db8:2::/48")],
        dst_ts: vec![ts("10.1.0.0/16"), ts("2001:db8:1::/48")],
        interface: String::new(),
    }
}

pub(super) fn sample_policy() -> (PolicyName, UseOfPolicy) {
    let name = PolicyName {
        direction: PolicyDirection::Out,
        src: ts("10.1.0.0/16"),
        dst: ts("10.2.0.0/16"),
        mark: Mark { value: 1, mask: 3 },
        if_id: 42,
        interface: String::new(),
    };
    let of = UseOfPolicy {
        verdict: Verdict::Protect,
        class: Class::Default,
        priority: 0,
        reqid: 7,
        mode: Some(Mode::Tunnel),
        protocol: Some(Protocol::Esp),
        spi: 0xc123_4567,
        src: "192.0.2.1".parse().unwrap(),
        dst: "198.51.100.1".parse().unwrap(),
    };
    (name, of)
}

/// One body of each type, with its type.
pub(super) fn samples() -> Vec<(u8, Vec<u8>)> {
    let sa = sample_sa(0xc000_0001);
    let (policy, of) = sample_policy();
    let mut spi = vec![50];
    put_address(&mut spi, sa.name.src);
    put_address(&mut spi, sa.name.dst);
    put!(spi, 0xc000_0000u32, 0xcfff_ffffu32);
    let mut update = name_body(&sa.name);
    put_address(&mut update, sa.name.src);
    put_address(&mut update, "192.0.2.99".parse().unwrap());
    put!(update, 1u8, 4500u16, 1027u16, 9u32);
    vec![
        (kind::HELLO, hello_body(1, 5)),
        (kind::GET_SPI, spi),
        (kind::ADD_SA, sa_body(&sa)),
        (kind::UPDATE_SA, update),
        (kind::QUERY_SA, name_body(&sa.name)),
        (kind::DEL_SA, name_body(&sa.name)),
        (kind::FLUSH_SAS, vec![]),
        (kind::ADD_POLICY, policy_body(&policy, Some(&of))),
        (kind::QUERY_POLICY, policy_body(&policy, None)),
        (kind::DEL_POLICY, policy_body(&policy, Some(&of))),
        (kind::FLUSH_POLICIES, vec![]),
        (kind::PORT, vec![2, 4, 0x11, 0x94]),
        (kind::SYNCED, vec![]),
    ]
}

#[test]
fn an_sa_is_read_as_it_was_written_and_its_key_wiped() {
    let (sa, mut body) = (sample_sa(0xc000_0001), sa_body(&sample_sa(0xc000_0001)));
    assert!(body.windows(20).any(|w| w == [0xa5; 20]));
    let Request::AddSa(read) = decode(kind::ADD_SA, &mut body).unwrap() else {
        panic!("another request");
    };
    assert_eq!(*read, sa);
    assert!(
        !body.windows(4).any(|w| w == [0xa5; 4]),
        "the key is still in the buffer"
    );
    assert!(!format!("{read:?}").contains("165"), "{read:?}");
}

#[test]
fn a_policy_is_read_as_it_was_written() {
    let (name, of) = sample_policy();
    let mut body = policy_body(&name, Some(&of));
    let Request::AddPolicy(read_name, read_of) = decode(kind::ADD_POLICY, &mut body).unwrap()
    else {
        panic!("another request");
    };
    assert_eq!((read_name, read_of), (name, of));
}

#[test]
fn the_small_ones_are_read() {
    let of = |wanted: u8| {
        samples()
            .into_iter()
            .find(|(of, _)| *of == wanted)
            .unwrap()
            .1
    };
    let spi = decode(kind::GET_SPI, &mut of(kind::GET_SPI)).unwrap();
    assert!(
        matches!(
            spi,
            Request::GetSpi {
                least: 0xc000_0000,
                greatest: 0xcfff_ffff,
                ..
            }
        ),
        "{spi:?}"
    );
    let update = decode(kind::UPDATE_SA, &mut of(kind::UPDATE_SA)).unwrap();
    let Request::UpdateSa(update) = update else {
        panic!("{update:?}")
    };
    assert_eq!((update.ports, update.reqid), (Some((4500, 1027)), 9));
    assert_eq!(update.dst, "192.0.2.99".parse::<IpAddr>().unwrap());
    let port = decode(kind::PORT, &mut of(kind::PORT)).unwrap();
    assert!(
        matches!(port, Request::Port(PortUse::Decapsulate, 4500)),
        "{port:?}"
    );
}
