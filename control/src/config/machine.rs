//! Whether this machine has what a configuration asks for, found out before anything is started.
//!
//! DPDK's own answers to a missing hugepage or a wrong driver are many lines with the reason in
//! the middle. Each check here gives one line with the cure.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, setns};
use nix::unistd::{Pid, geteuid};

use super::{Config, Device, Port};

/// Kernel drivers that hand a device to user space whole.
const USER_DRIVERS: [&str; 3] = ["vfio-pci", "uio_pci_generic", "igb_uio"];
/// Kernel drivers beside which DPDK drives the same device.
const SHARED_DRIVERS: [&str; 3] = ["mlx4_core", "mlx5_core", "mana"];

/// Everything that this machine lacks for `config`, one line each with its cure; empty if it can
/// run. Needs no privileges to ask, and changes nothing.
pub fn check(config: &Config) -> Vec<String> {
    let mut lacks = Vec::from_iter(not_root());
    if !Path::new("/dev/net/tun").exists() {
        lacks.push("/dev/net/tun is not there, taps cannot be made; run: modprobe tun".into());
    }
    cpus(config, &mut lacks);
    hugepages(config, &mut lacks);
    namespaces(config, &mut lacks);
    for port in &config.ports {
        match &port.device {
            Device::Pci { address, .. } => pci(config, port, address, &mut lacks),
            Device::Virtual { .. } => virtual_device(port, &mut lacks),
        }
    }
    taps(config, &mut lacks);
    lacks
}

/// What is wrong if this is not root.
pub fn not_root() -> Option<String> {
    let lack = "taps and namespaces need root; run: sudo ironlane ...";
    (!geteuid().is_root()).then(|| lack.to_owned())
}

fn cpus(config: &Config, lacks: &mut Vec<String>) {
    let Ok(allowed) = sched_getaffinity(Pid::from_raw(0)) else {
        return;
    };
    let here: Vec<u16> = (0..CpuSet::count())
        .filter(|&c| allowed.is_set(c) == Ok(true))
        .map(|c| c as u16)
        .collect();
    let wrong: Vec<_> = config
        .lcores
        .cpus
        .iter()
        .filter(|c| !here.contains(c))
        .collect();
    if !wrong.is_empty() {
        lacks.push(format!(
            "[lcores] cpus: there is no CPU {} for this process; it may use {}",
            join(&wrong),
            ranges(&here)
        ));
    }
}

fn hugepages(config: &Config, lacks: &mut Vec<String>) {
    if !config.dpdk.hugepages {
        return;
    }
    let wanted = u64::from(config.dpdk.memory_mib);
    let page_kib = default_page_kib();
    let (mut free, mut total, mut reserved) = (0, 0, 0);
    for entry in std::fs::read_dir("/sys/kernel/mm/hugepages")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let size = name
            .to_str()
            .and_then(|n| n.strip_prefix("hugepages-")?.strip_suffix("kB"));
        let Some(kib) = size.and_then(|s| s.parse::<u64>().ok()) else {
            continue;
        };
        let count = |file: &str| -> u64 {
            let text = std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        };
        free += count("free_hugepages") * kib / 1024;
        total += count("nr_hugepages") * kib / 1024;
        if kib == page_kib {
            reserved = count("nr_hugepages");
        }
    }
    if free < wanted {
        lacks.push(format!(
            "[dpdk] memory_mib: {wanted} MiB of hugepages are asked for, {free} of {total} MiB are \
             free; run: sysctl -w vm.nr_hugepages={} (or set [dpdk] hugepages = false to try things \
             out)",
            pages(reserved, wanted - free, page_kib)
        ));
    }
}

/// The size of the pages that `vm.nr_hugepages` counts.
fn default_page_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let size = text
        .lines()
        .find_map(|line| line.strip_prefix("Hugepagesize:"));
    let size = size.and_then(|s| s.trim().strip_suffix(" kB")?.parse().ok());
    size.filter(|&kib| kib > 0).unwrap_or(2048)
}

/// How many pages there must be, `reserved` of which there are, for so much more memory.
fn pages(reserved: u64, more_mib: u64, page_kib: u64) -> u64 {
    reserved + (more_mib * 1024).div_ceil(page_kib)
}

fn namespaces(config: &Config, lacks: &mut Vec<String>) {
    let mut wanted = BTreeSet::new();
    if let Some(path) = config.daemon.netns_path() {
        wanted.insert(("[daemon] netns", path));
    }
    for peer in config.ports.iter().filter_map(|p| p.peer.as_ref()) {
        if let Some(path) = peer.netns_path() {
            wanted.insert(("[[port]] peer_netns", path));
        }
    }
    for (key, path) in wanted.into_iter().filter(|(_, path)| !path.exists()) {
        let name = path.file_name().unwrap_or_default().display();
        lacks.push(format!(
            "{key}: there is no network namespace {}; run: ip netns add {name}",
            path.display()
        ));
    }
}

fn pci(config: &Config, port: &Port, address: &str, lacks: &mut Vec<String>) {
    let name = &port.name;
    let device = Path::new("/sys/bus/pci/devices").join(address);
    if !config.dpdk.hugepages {
        lacks.push(format!(
            "port {name}: a PCI device needs hugepages; set [dpdk] hugepages = true"
        ));
    }
    if !device.exists() {
        lacks.push(format!(
            "port {name}: there is no PCI device {address}; see: lspci -D"
        ));
        return;
    }
    let driver = std::fs::read_link(device.join("driver")).ok();
    let driver = driver.as_ref().and_then(|d| d.file_name()?.to_str());
    match driver {
        Some(d) if USER_DRIVERS.contains(&d) || SHARED_DRIVERS.contains(&d) => {}
        other => {
            let bound = other.map_or("no driver".into(), |d| format!("{d}, not vfio-pci"));
            lacks.push(format!(
                "port {name}: {address} is bound to {bound}; run: \
                 driverctl set-override {address} vfio-pci"
            ));
        }
    }
}

fn virtual_device(port: &Port, lacks: &mut Vec<String>) {
    let name = &port.name;
    let iface = port.device.arg("iface");
    match (port.device.driver(), iface) {
        (Some("net_af_packet" | "net_af_xdp"), Some(iface)) if if_nametoindex(iface).is_err() => {
            lacks.push(format!(
                "port {name}: device {} needs interface {iface}, which is not there; see: ip link",
                port.device.id()
            ));
        }
        (Some("net_tap"), Some(iface)) if if_nametoindex(iface).is_ok() => {
            lacks.push(format!(
                "port {name}: interface {iface} exists already; give the device another iface, or \
                 run: ip link delete {iface}"
            ));
        }
        (Some("net_pcap"), _) => {
            let file = port
                .device
                .arg("rx_pcap")
                .filter(|f| !Path::new(f).exists());
            if let Some(file) = file {
                lacks.push(format!("port {name}: rx_pcap {file}: no such file"));
            }
        }
        _ => {}
    }
}

/// Looks for taps that exist already, in the namespace where they are to be made.
fn taps(config: &Config, lacks: &mut Vec<String>) {
    let names: Vec<String> = config.ports.iter().map(|p| p.tap.to_string()).collect();
    let path = config.daemon.netns_path();
    // setns changes the calling thread alone, so a thread of its own goes and looks.
    let look = std::thread::spawn(move || {
        if let Some(path) = path {
            let file = File::open(path).ok()?;
            setns(file, CloneFlags::CLONE_NEWNET).ok()?;
        }
        let taken = names
            .into_iter()
            .filter(|n| if_nametoindex(n.as_str()).is_ok());
        Some(taken.collect::<Vec<_>>())
    });
    let space = config.daemon.netns.as_ref();
    let ip = space.map_or("ip".into(), |netns| format!("ip -n {netns}"));
    for name in look.join().ok().flatten().unwrap_or_default() {
        lacks.push(format!(
            "[[port]] tap: interface {name} exists already; choose another name, or run: \
             {ip} link delete {name}"
        ));
    }
}

fn join<T: ToString>(items: &[T]) -> String {
    items
        .iter()
        .map(T::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// `[0, 1, 2, 5]` as `0-2,5`.
fn ranges(cpus: &[u16]) -> String {
    let mut parts: Vec<(u16, u16)> = Vec::new();
    for &cpu in cpus {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => parts.push((cpu, cpu)),
        }
    }
    let text = |&(a, b): &(u16, u16)| {
        if a == b {
            a.to_string()
        } else {
            format!("{a}-{b}")
        }
    };
    parts.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::{check, pages, ranges};

    fn lacks(text: &str) -> Vec<String> {
        let base = "lcores.cpus = 0\ndpdk.hugepages = false\n";
        let text = if text.contains("cpus") {
            text.into()
        } else {
            format!("{base}{text}")
        };
        check(&Config::parse("c", &text).unwrap())
    }

    fn told(lacks: &[String], what: &str) -> bool {
        lacks.iter().any(|l| l.contains(what))
    }

    #[test]
    fn ranges_are_written_short() {
        assert_eq!(ranges(&[0, 1, 2, 5]), "0-2,5");
        assert_eq!(ranges(&[3]), "3");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named_with_those_that_are() {
        let lacks = lacks("dpdk.hugepages = false\nlcores.cpus = [0, 120]");
        assert!(
            told(&lacks, "there is no CPU 120 for this process; it may use 0"),
            "{lacks:?}"
        );
    }

    #[test]
    fn more_hugepages_than_there_are_come_with_the_command_to_get_them() {
        let lacks = lacks("lcores.cpus = 0\ndpdk.memory_mib = 1048576");
        assert!(told(&lacks, "run: sysctl -w vm.nr_hugepages="), "{lacks:?}");
    }

    #[test]
    fn hugepages_are_counted_in_their_size() {
        assert_eq!(pages(10, 99, 2048), 60);
        assert_eq!(pages(1, 1500, 1 << 20), 3, "of 1 GiB");
    }

    #[test]
    fn devices_and_names_that_are_not_there_or_taken_are_told() {
        let lacks = lacks(
            r#"
            [daemon]
            netns = "no-such-namespace"
            [[port]]
            name = "lo"
            device = "ffff:ff:1f.7"
            [[port]]
            name = "p1"
            device = "net_tap0,iface=lo"
            [[port]]
            name = "p2"
            device = "net_af_packet0,iface=no-such-if"
            "#,
        );
        for what in [
            "there is no network namespace /run/netns/no-such-namespace; run: ip netns add no-such",
            "port lo: there is no PCI device ffff:ff:1f.7",
            "port lo: a PCI device needs hugepages",
            "port p1: interface lo exists already",
            "needs interface no-such-if, which is not there",
        ] {
            assert!(told(&lacks, what), "{what}\n{lacks:#?}");
        }
    }

    #[test]
    fn a_tap_of_the_name_of_an_interface_is_refused() {
        let lacks = lacks("[[port]]\nname = \"lo\"\ndevice = \"net_null0\"\n");
        assert!(
            told(&lacks, "[[port]] tap: interface lo exists already"),
            "{lacks:?}"
        );
    }
}
