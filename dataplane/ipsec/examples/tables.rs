//! Figures of the tables: SAs set up and found, policies added and found.
//!
//!     cargo run --release -p ironlane-ipsec --example tables

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use ironlane_fib::VrfId;
use ironlane_ipsec::{
    Action, Algorithm, Auth, Cipher, Direction, Flow, Ipsec, PolicyDirection, PolicySpec, Protocol,
    SaSpec, Secret, Selector, Writer,
};
use ironlane_rcu::Domain;

const LOOKUPS: u32 = 2_000_000;

/// A number that looks like chance and is the same in each run.
fn scatter(n: u32) -> u32 {
    (u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

fn addr(bits: u32) -> IpAddr {
    Ipv4Addr::from_bits(bits).into()
}

fn rate(what: &str, count: u32, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{what:<48} {:>8.2} M/s {:>8.1} ns each",
        f64::from(count) / seconds / 1e6,
        seconds * 1e9 / f64::from(count)
    );
}

fn sas(count: u32) -> Result<(), Box<dyn std::error::Error>> {
    let domain = Domain::new();
    let ipsec = Arc::new(Ipsec::new(&domain));
    let mut writer = Writer::without_device(Arc::clone(&ipsec));
    let mut reader = Domain::register(&domain)?;
    let algorithm = Algorithm {
        cipher: Cipher::AesGcm { icv: 16 },
        auth: Auth::None,
    };
    let spi = |n| scatter(n) | 0x100;
    let began = Instant::now();
    let mut ids = Vec::new();
    for n in 0..count {
        let spec = SaSpec {
            enc_key: Secret::new(&[7; 20])?,
            ..SaSpec::new(Direction::In, spi(n), addr(n), addr(0xc000_0201), algorithm)
        };
        ids.push(writer.add_sa(spec)?);
    }
    rate(&format!("{count} SAs: add"), count, began);
    let began = Instant::now();
    let mut found = 0;
    for n in 0..LOOKUPS {
        let burst = reader.read();
        let spi = spi(scatter(n) % count);
        let sa = ipsec.find_sa(&burst, Protocol::Esp, spi, addr(0xc000_0201), VrfId(0));
        found += u32::from(black_box(sa).is_some());
    }
    assert_eq!(found, LOOKUPS);
    rate(&format!("{count} SAs: find, any of them"), LOOKUPS, began);
    reader.offline();
    let began = Instant::now();
    for id in ids {
        writer.del_sa(id)?;
    }
    rate(&format!("{count} SAs: delete"), count, began);
    Ok(())
}

fn policies(count: u32) -> Result<(), Box<dyn std::error::Error>> {
    let domain = Domain::new();
    let ipsec = Arc::new(Ipsec::new(&domain));
    let mut writer = Writer::without_device(Arc::clone(&ipsec));
    let mut reader = Domain::register(&domain)?;
    let began = Instant::now();
    for n in 0..count {
        // Sites with /24 and /28 networks, hosts, some of them for one port; nine shapes.
        let (len, dst_ports) = match n % 9 {
            0..5 => (24, 0..=u16::MAX),
            5..7 => (28, 0..=u16::MAX),
            7 => (32, 0..=u16::MAX),
            _ => (32, 443..=443),
        };
        let net = |bits: u32| ipnet::IpNet::new(addr(bits), len).map(|net| net.trunc());
        let selector = Selector {
            proto: if len == 32 { 6 } else { 0 },
            dst_ports,
            ..Selector::between(net(0x0a00_0000)?, net(0x0b00_0000 + (n << 8))?)
        };
        let spec = PolicySpec {
            priority: 1000 - u32::from(len),
            ..PolicySpec::new(PolicyDirection::Out, selector, Action::Bypass)
        };
        writer.add_policy(spec)?;
    }
    rate(&format!("{count} policies: add"), count, began);
    for (what, hit) in [("a match", true), ("no match", false)] {
        let began = Instant::now();
        let mut found = 0;
        for n in 0..LOOKUPS {
            let site = scatter(n) % count;
            let flow = Flow {
                src: addr(0x0a00_0000),
                dst: addr(if hit { 0x0b00_0000 } else { 0x6b00_0000 } + (site << 8)),
                proto: 6,
                ports: Some((40_000, 443)),
            };
            let burst = reader.read();
            let policy = ipsec.find_policy(&burst, VrfId(0), PolicyDirection::Out, &flow, 0, 0);
            found += u32::from(black_box(policy).is_some());
        }
        assert_eq!(found, if hit { LOOKUPS } else { 0 });
        rate(&format!("{count} policies: find, {what}"), LOOKUPS, began);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    [1, 1000, 100_000].into_iter().try_for_each(sas)?;
    [1, 100, 10_000].into_iter().try_for_each(policies)
}
