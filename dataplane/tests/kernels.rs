//! Forwarding between two real kernels, by taps and by packet sockets on veth.

mod rig;

use std::sync::Arc;

use ironlane_dataplane::dataplane::{Dataplane, DataplaneConfig, PortConfig};
use ironlane_dataplane::reason::DropReason;
use ironlane_fib::{Adjacency, Nexthop, Tables, VrfId, Writer};
use ironlane_rcu::Domain;
use rig::netns::{Netns, can_make_taps, run};
use rig::{cpus, eal};

/// h0 192.0.2.2 ---- p0 [data plane] p1 ---- h1 198.51.100.2
///
/// `interface` names the end of a port that goes to its host.
fn ping(
    hosts: &[Netns; 2],
    ports: Vec<PortConfig>,
    interface: impl Fn(usize) -> String,
    sizes: &[u32],
) {
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
    let mtu = ports[0].mtu;
    let config = DataplaneConfig {
        lcores: cpus(2),
        ports,
        mbufs: Some(4095),
        exception_mbufs: 255,
        ..DataplaneConfig::default()
    };
    let dataplane = Dataplane::start(eal(), &config, tables, &domain).unwrap();
    for (place, net) in ["192.0.2", "198.51.100"].into_iter().enumerate() {
        let other = ["198.51.100", "192.0.2"][place];
        let (info, host) = (&dataplane.ports()[place], &hosts[place]);
        let interface = interface(place);
        run(&format!("ip link set {interface} netns {}", host.tid));
        for line in [
            format!("ip link set {interface} address 02:00:00:00:0{place}:02 mtu {mtu} up"),
            format!("ip address add {net}.2/24 dev {interface}"),
            format!("ip neigh add {net}.1 lladdr {} dev {interface}", info.mac),
            format!("ip route add {other}.0/24 via {net}.1"),
        ] {
            host.run(&line);
        }
        let mac = [2, 0, 0, 0, place as u8, 2];
        let adjacency = Adjacency::forward(info.id, mtu, mac, info.mac.0);
        let nexthop = writer.add_nexthop(Nexthop::Adjacency(adjacency)).unwrap();
        let prefix = format!("{net}.0/24").parse().unwrap();
        writer.insert(VrfId::DEFAULT, prefix, nexthop).unwrap();
    }
    for size in sizes {
        hosts[0].run(&format!(
            "ping -q -c 20 -i 0.002 -W 1 -M do -s {size} 198.51.100.2"
        ));
    }
    let counters = dataplane.counters().snapshot();
    let drops = counters.ports().drops;
    let drops: Vec<_> = DropReason::ALL
        .iter()
        .zip(drops)
        .filter(|(_, n)| *n > 0)
        .collect();
    println!("drops: {drops:?}");
    let [p0, p1] = [0, 1].map(|place| counters.port(dataplane.ports()[place].id));
    let pings = 20 * sizes.len() as u64;
    assert!(p0.tx_packets >= pings && p1.tx_packets >= pings);
    assert!(counters.lcores.iter().all(|lcore| lcore.identity().holds()));
    let report = dataplane.stop();
    assert!(report.is_clean(), "{:?}", report.pools);
}

/// One test, since EAL's threads stay in the namespace of the one that started it.
#[test]
fn pings_pass_by_taps_and_of_9000_bytes_by_packet_sockets() {
    if !can_make_taps("pings_pass_by_taps_and_of_9000_bytes_by_packet_sockets") {
        return;
    }
    let tap = |i: usize| PortConfig {
        rx_descriptors: 256,
        ..PortConfig::new(format!("t{i}"), format!("net_tap{i},iface=iltap{i}"))
    };
    let hosts = [Netns::new(), Netns::new()];
    let sizes = [0, 56, 1000, 1472];
    ping(
        &hosts,
        vec![tap(0), tap(1)],
        |i| format!("iltap{i}"),
        &sizes,
    );

    let socket = |i: usize| {
        let ends = format!("ilveth{i} mtu 9000 type veth peer name ilhost{i} mtu 9000");
        run(&format!("ip link add {ends}"));
        run(&format!("ip link set ilveth{i} up"));
        let frames = "blocksz=65536,framesz=16384,framecnt=256";
        let device = format!("net_af_packet{i},iface=ilveth{i},{frames}");
        PortConfig {
            mtu: 9000,
            rx_descriptors: 256,
            ..PortConfig::new(format!("a{i}"), device)
        }
    };
    let hosts = [Netns::new(), Netns::new()];
    let sizes = [56, 1472, 1473, 2020, 4000, 8972];
    ping(
        &hosts,
        vec![socket(0), socket(1)],
        |i| format!("ilhost{i}"),
        &sizes,
    );
}
