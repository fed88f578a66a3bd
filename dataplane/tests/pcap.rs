//! A port that reads a capture and one that writes one (`net_pcap`): a device with a single queue
//! that copies what it sends.

mod rig;

use std::fs;
use std::sync::Arc;

use ironlane_dataplane::dataplane::{Dataplane, DataplaneConfig, PortConfig};
use ironlane_dataplane::reason::DropReason;
use ironlane_fib::{Adjacency, Nexthop, Tables, VrfId, Writer};
use ironlane_packet::eth::Mac;
use ironlane_rcu::Domain;
use rig::{NEIGHBOUR, cpus, eal, frame, wait_for};

/// The MAC that the driver gives its first device.
const FIRST: Mac = Mac([2, b'p', b'c', b'a', b'p', 0]);

/// A capture of these frames.
fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
    let mut file = words(&[0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65_535, 1]);
    for frame in frames {
        let len = frame.len() as u32;
        file.extend(words(&[0, 0, len, len]));
        file.extend(frame);
    }
    file
}

/// The frames of a capture.
fn frames_of(file: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = &file[24..];
    while let Some((header, more)) = rest.split_first_chunk::<16>() {
        let len = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        frames.push(more[..len].to_vec());
        rest = &more[len..];
    }
    frames
}

#[test]
fn captures_are_read_forwarded_and_written() {
    let folder = std::env::temp_dir().join(format!("ironlane-pcap-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (input, output) = (folder.join("in.pcap"), folder.join("out.pcap"));
    let sent: Vec<_> = (0..10).map(|n| frame(FIRST, 1, n, 1400)).collect();
    fs::write(&input, capture(&sent)).unwrap();
    let device = |n, args: String| PortConfig::new(format!("c{n}"), format!("net_pcap{n},{args}"));
    let (domain, eal) = (Domain::new(), eal());
    let tables = Arc::new(Tables::new(&domain));
    let config = DataplaneConfig {
        lcores: cpus(2),
        ports: vec![
            device(0, format!("rx_pcap={},infinite_rx=1", input.display())),
            device(1, format!("tx_pcap={}", output.display())),
        ],
        mbufs: Some(8191),
        exception_mbufs: 1023,
        ..DataplaneConfig::default()
    };
    let dataplane = Dataplane::start(eal, &config, Arc::clone(&tables), &domain).unwrap();
    let [p0, p1] = [0, 1].map(|place| dataplane.ports()[place].clone());
    dataplane.port_set_admin(p1.id, false).unwrap();
    assert_eq!((p0.mac, p0.driver.as_str()), (FIRST, "net_pcap"));
    let mut writer = Writer::new(tables, domain);
    let adjacency = Adjacency::forward(p1.id, p1.mtu, NEIGHBOUR.0, p1.mac.0);
    let nexthop = writer.add_nexthop(Nexthop::Adjacency(adjacency)).unwrap();
    let prefix = "10.1.0.0/16".parse().unwrap();
    writer.insert(VrfId::DEFAULT, prefix, nexthop).unwrap();

    let counters = dataplane.counters();
    dataplane.port_set_admin(p1.id, true).unwrap();
    wait_for("200 packets", || {
        counters.snapshot().port(p1.id).tx_packets >= 200
    });
    dataplane.port_set_admin(p1.id, false).unwrap();
    let report = dataplane.stop();
    assert!(report.is_clean(), "{report:?}");
    let port = report.counters.port(p1.id);
    assert!(port.handoff_out > 0, "each lcore polls one of the ports");
    assert!(port.drops[DropReason::TxPortDown.index()] > 0);

    let written = frames_of(&fs::read(&output).unwrap());
    assert_eq!(written.len() as u64, port.tx_packets);
    for frame in &written {
        let number = rig::number(frame) as usize;
        let mut wanted = sent[number].clone();
        wanted[..6].copy_from_slice(&NEIGHBOUR.0);
        wanted[6..12].copy_from_slice(&p1.mac.0);
        wanted[22] = 63;
        wanted[24..26].copy_from_slice(&frame[24..26]);
        assert_eq!(*frame, wanted);
    }
    fs::remove_dir_all(&folder).unwrap();
}
