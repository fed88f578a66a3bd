//! Wrong configurations of a right machine, and wrong machines for a right configuration: one clear
//! message with the cure, exit status 1, nothing left behind.

mod daemon;

use daemon::{Case, alone, first_cpu, interfaces};
use ironlane_control::daemon::RunLock;

const PORT: &str = "[[port]]\nname = \"p0\"\ndevice = \"net_null0\"\n";

#[test]
fn a_typing_error_is_told_with_its_place() {
    let case = Case::new("[[port]]\nname = \"p0\"\ndevcie = \"net_null0\"\n");
    case.refused("r.toml:8:1: unknown key \"devcie\" in [[port]]; did you mean \"device\"?");
}

#[test]
fn an_lcore_that_is_not_there() {
    if alone() {
        let cpus = format!("lcores.cpus = {}\n", first_cpu());
        Case::new(PORT)
            .replaced(&cpus, "lcores.cpus = 126\n")
            .refused("[lcores] cpus: there is no CPU 126 for this process; it may use ");
    }
}

#[test]
fn no_hugepages() {
    if alone() {
        Case::new(PORT)
            .replaced("hugepages = false, memory_mib = 96", "memory_mib = 1048576")
            .refused("MiB are free; run: sysctl -w vm.nr_hugepages=");
    }
}

#[test]
fn a_pci_device_that_is_not_there() {
    if alone() {
        Case::new("[[port]]\nname = \"p0\"\ndevice = \"ffff:ff:1f.7\"\n")
            .refused("port p0: there is no PCI device ffff:ff:1f.7; see: lspci -D");
    }
}

#[test]
fn a_device_that_dpdk_does_not_know() {
    if alone() {
        let case = Case::new("[[port]]\nname = \"p0\"\ndevice = \"net_unheard0\"\n");
        case.refused("p0");
    }
}

#[test]
fn a_tap_whose_name_is_taken() {
    if alone() {
        Case::new("[[port]]\nname = \"lo\"\ndevice = \"net_null0\"\n")
            .refused("[[port]] tap: interface lo exists already; choose another name");
    }
}

#[test]
fn a_namespace_that_is_not_there() {
    if alone() {
        Case::new(&format!("daemon.netns = \"no-such-ns\"\n{PORT}"))
            .refused("there is no network namespace /run/netns/no-such-ns; run: ip netns add");
    }
}

#[test]
fn a_group_that_is_not_there() {
    if alone() {
        Case::new(&format!("daemon.socket_group = \"no-such-group\"\n{PORT}"))
            .refused("no such group; add it with: groupadd --system no-such-group");
    }
}

/// Without root even the lock of the run folder would fail, by a message that leads nowhere.
#[test]
fn a_user_without_rights() {
    if alone() {
        let case = Case::new(PORT);
        let run = case.folder.path().join("run");
        let case = case.replaced(&format!("run_dir = {run:?}"), "run_dir = \"/proc/no/run\"");
        // A new user namespace without a mapping: everybody is nobody there.
        case.refused_within(
            &["unshare", "-U"],
            "taps and namespaces need root; run: sudo",
        );
    }
}

#[test]
fn a_second_daemon() {
    if alone() {
        let case = Case::new(PORT);
        let lock = RunLock::take(&case.folder.path().join("run")).unwrap();
        let pid = std::process::id();
        case.refused(&format!("another ironlane runs (pid {pid})"));
        drop(lock);
    }
}

#[test]
fn a_signal_during_the_start_ends_it_cleanly() {
    use nix::sys::signal::Signal::{SIGHUP, SIGTERM};
    if !alone() {
        return;
    }
    let before = interfaces();
    for signal in [SIGTERM, SIGHUP] {
        let case = Case::new(PORT);
        let mut daemon = case.starting();
        assert!(!case.socket().exists(), "it has hardly begun");
        assert_eq!(daemon.signal(signal), Some(0), "{signal}");
        let told = daemon.told();
        assert!(told.contains(&format!("{signal}: stopping")), "{told}");
        assert_eq!(interfaces(), before, "what it made is gone");
    }
}

#[test]
fn it_starts_at_once_after_a_kill_and_leaves_nothing_after_a_stop() {
    use nix::sys::signal::Signal::{SIGINT, SIGKILL, SIGTERM};
    if !alone() {
        return;
    }
    let before = interfaces();
    let two = "[[port]]\nname = \"p1\"\ndevice = \"net_tap0,iface=kill0\"\n";
    let case = Case::new(&format!("{PORT}{two}"));
    assert_eq!(case.started().signal(SIGKILL), None, "killed");
    assert!(case.socket().exists(), "a killed daemon leaves its socket");
    for signal in [SIGTERM, SIGINT] {
        let mut daemon = case.started();
        assert!(interfaces().contains(&"p1".to_owned()));
        assert_eq!(daemon.signal(signal), Some(0), "{signal}");
        assert_eq!(interfaces(), before, "what it made is gone");
        assert!(!case.socket().exists());
    }
}
