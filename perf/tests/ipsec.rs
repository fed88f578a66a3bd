//! Tunnels through the rig, each frame opened and compared; and what is wrong is found.

use std::path::PathBuf;

use ironlane_dataplane::eal::{CpuList, Memory};
use ironlane_perf::frames;
use ironlane_perf::ipsec::{Load, Size, Way, Whose, check, verify};

fn load(way: Way, size: Size, v6: bool, encap: bool) -> Load {
    Load {
        way,
        tunnels: 7,
        size,
        v6,
        encap,
        frames: 300,
    }
}

/// All in one test: a process has one first pcap port.
#[test]
fn each_tunnel_passes_the_rig_and_a_wrong_frame_is_found() {
    let cpu = *CpuList::allowed().0.last().unwrap();
    let path: PathBuf =
        std::env::temp_dir().join(format!("ironlane-ipsec-{}.pcap", std::process::id()));
    let mut port = 0;
    for way in [Way::Out, Way::In] {
        for (size, v6, encap) in [
            (Size::One(64), false, false),
            (Size::One(1420), true, false),
            (Size::Imix, false, true),
            (Size::Imix, true, true),
        ] {
            let load = load(way, size, v6, encap);
            frames::write(&path, &load.frames(port).unwrap()).unwrap();
            let count = verify(&load, &path, cpu, Memory::NoHuge { mib: 256 });
            assert_eq!(count.unwrap(), 301, "{load:?}");
            // DPDK numbers all pcap ports of a process, in their MAC addresses.
            port += 2;
        }
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_is_not_as_it_should_be_is_found() {
    let load = load(Way::In, Size::One(64), false, false);
    // What arrives protected is not what should leave.
    assert!(check(&load, Whose::Peers, load.frames(0).unwrap()).is_err());
    let clear = Load {
        way: Way::Out,
        ..load
    };
    let error = check(&clear, Whose::Peers, clear.frames(0).unwrap());
    assert!(error.unwrap_err().to_string().contains("outer header"));
}
