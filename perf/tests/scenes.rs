//! Every scene through the rig, frame by frame; and a wrong or a missing route is found.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use ironlane_dataplane::eal::{CpuList, Memory};
use ironlane_perf::oracle::Fates;
use ironlane_perf::scene::{self, Scene};
use ironlane_perf::table::{self, Route, Tables};
use ironlane_perf::{frames, play};

const MEMORY: Memory = Memory::NoHuge { mib: 512 };
const FRAMES: usize = 600;

fn tables() -> Tables {
    Tables {
        ip4: table::synthetic(false, 5_000, 300),
        ip6: table::synthetic(true, 5_000, 300),
    }
}

/// A file for each port of the scene.
fn files_of(scene: &Scene, tables: &Tables) -> Vec<PathBuf> {
    // DPDK numbers all pcap ports of a process, in their MAC addresses: the sink is the last.
    static PORTS: AtomicU8 = AtomicU8::new(0);
    let first = PORTS.fetch_add(scene.ports as u8 + 1, Ordering::Relaxed);
    let of_port = |port| {
        let file = format!(
            "ironlane-perf-{}-{}-{port}.pcap",
            std::process::id(),
            scene.name
        );
        let path = std::env::temp_dir().join(file);
        frames::write(&path, &frames::make(scene, tables, port).unwrap()).unwrap();
        path
    };
    (first..first + scene.ports as u8).map(of_port).collect()
}

fn cpu() -> usize {
    *CpuList::allowed().0.last().unwrap()
}

/// Plays few frames of a scene; the router has the routes that `change` leaves.
fn played(scene: &Scene, change: impl FnOnce(&mut Vec<Route>)) -> Result<Fates, String> {
    let tables = tables();
    let wanted = scene.routes(&tables).unwrap();
    let paths = files_of(scene, &tables);
    let mut installed = wanted.clone();
    change(&mut installed);
    let result = play::verify(&paths, cpu(), MEMORY, &installed, &wanted);
    for path in paths {
        std::fs::remove_file(path).unwrap();
    }
    result.map_err(|error| error.to_string())
}

/// The frames that each profile for real NICs describes, in each of its sizes. All in one test: ports
/// have numbers, and a process has one first port.
#[test]
fn each_scene_passes_the_rig_and_wrong_routes_do_not() {
    for scene in scene::all().unwrap() {
        let sizes: Vec<_> = if scene.sizes.is_empty() {
            vec![None]
        } else {
            scene.sizes.iter().copied().map(Some).collect()
        };
        for size in sizes {
            let scene = scene.clone().with(size, Some(FRAMES));
            let fates = played(&scene, |_| ()).unwrap_or_else(|e| panic!("{}: {e}", scene.name));
            let sum = fates.forwarded + fates.punted + fates.dropped;
            assert_eq!(
                sum,
                FRAMES as u64 * u64::from(scene.ports),
                "{}",
                scene.name
            );
        }
    }

    let scene = scene::named("ipv4-512").unwrap().with(None, Some(FRAMES));
    let scene = scene.with_nexthops(Some(16)); // each route is met
    let error = played(&scene, |routes| routes[7].nexthop = 8).unwrap_err();
    assert!(error.contains("should not be"), "{error}");
    let error = played(&scene, |routes| routes.retain(|r| r.nexthop != 7)).unwrap_err();
    assert!(error.contains("no_route"), "{error}");
    let bad = scene::named("bad1").unwrap().with(None, Some(FRAMES));
    let fates = played(&bad, |_| ()).unwrap();
    assert!(fates.dropped > 0 && fates.forwarded > 500, "{fates:?}");
}
