//! What the host has: CPUs, NUMA nodes, hugepages, drivers of PCI devices, locks of others.

use std::fmt;
use std::fs;
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use super::EalError;

/// CPUs by number, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(pub Vec<usize>);

impl CpuList {
    /// CPUs that this process may use. Asked for the main thread, since the calling thread may
    /// be pinned.
    pub fn allowed() -> Self {
        Self::of(Pid::this())
    }

    /// CPUs that the calling thread may use.
    pub fn of_thread() -> Self {
        Self::of(Pid::from_raw(0))
    }

    fn of(thread: Pid) -> Self {
        let set = sched_getaffinity(thread).unwrap_or_default();
        let cpus = (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false));
        Self(cpus.collect())
    }

    /// Whether `cpu` is in the list.
    pub fn check(&self, cpu: usize) -> Result<(), EalError> {
        if self.0.contains(&cpu) {
            Ok(())
        } else {
            Err(EalError::NoSuchCpu {
                cpu,
                allowed: self.to_string(),
            })
        }
    }
}

impl fmt::Display for CpuList {
    /// As the kernel writes it: `0-3,6`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, run) in self.0.chunk_by(|a, b| a + 1 == *b).enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match run {
                [one] => write!(f, "{one}")?,
                run => write!(f, "{}-{}", run[0], run[run.len() - 1])?,
            }
        }
        Ok(())
    }
}

/// The NUMA node of a CPU; 0 where the host does not say.
pub fn node_of_cpu(cpu: usize) -> i32 {
    let Ok(entries) = fs::read_dir(format!("/sys/devices/system/cpu/cpu{cpu}")) else {
        return 0;
    };
    entries
        .flatten()
        .find_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix("node")?
                .parse()
                .ok()
        })
        .unwrap_or(0)
}

/// Hugepages of the default size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hugepages {
    page_kib: u64,
    total: u64,
    free: u64,
}

impl Hugepages {
    pub(super) fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/meminfo").ok()?)
    }

    fn parse(meminfo: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':')
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        };
        Some(Self {
            page_kib: field("Hugepagesize")?,
            total: field("HugePages_Total")?,
            free: field("HugePages_Free")?,
        })
    }

    /// Whether `mib` are free, in pages of the default size or in any others.
    pub(super) fn check(&self, mib: u32) -> Result<(), EalError> {
        let pages = (u64::from(mib) * 1024).div_ceil(self.page_kib);
        if self.free >= pages || other_sizes_free() {
            return Ok(());
        }
        Err(EalError::NoHugepages {
            wanted_mib: mib,
            free: self.free,
            total: self.total,
            page_kib: self.page_kib,
            // Room for packet buffers of a small router, if nothing is known.
            cure: (self.total - self.free) + pages.max(512 * 1024 / self.page_kib),
        })
    }
}

/// Whether there is a file system for hugepages.
pub(super) fn has_hugetlbfs() -> bool {
    fs::read_to_string("/proc/mounts").is_ok_and(|mounts| {
        mounts
            .lines()
            .any(|line| line.split(' ').nth(2) == Some("hugetlbfs"))
    })
}

/// Whether hugepages of another size than the default one (1 GiB, say) are free.
fn other_sizes_free() -> bool {
    let Ok(sizes) = fs::read_dir("/sys/kernel/mm/hugepages") else {
        return false;
    };
    let default = Hugepages::read().map_or(0, |pages| pages.page_kib);
    sizes.flatten().any(|size| {
        size.file_name() != format!("hugepages-{default}kB").as_str()
            && fs::read_to_string(size.path().join("free_hugepages"))
                .is_ok_and(|free| free.trim() != "0")
    })
}

/// The kernel's driver of a PCI device, if the device is there: `Some(None)` without a driver.
pub(super) fn pci_driver(address: &str) -> Option<Option<String>> {
    let device = Path::new("/sys/bus/pci/devices").join(address);
    if !device.exists() {
        return None;
    }
    let driver = fs::read_link(device.join("driver")).ok();
    Some(driver.and_then(|path| Some(path.file_name()?.to_str()?.to_owned())))
}

/// Whether a PCI device is a virtual function of another one.
pub(super) fn is_virtual_function(address: &str) -> bool {
    Path::new("/sys/bus/pci/devices")
        .join(address)
        .join("physfn")
        .exists()
}

/// The process that holds the lock of a DPDK file prefix, if any does.
pub(super) fn prefix_holder(prefix: &str) -> Option<i32> {
    let directory = match std::env::var_os("RUNTIME_DIRECTORY") {
        Some(runtime) => Path::new(&runtime).join("dpdk"),
        None => Path::new("/var/run/dpdk").to_owned(),
    };
    let file = fs::File::open(directory.join(prefix).join("config")).ok()?;
    let mut lock = libc::flock {
        // The constants are small; their C types differ from the fields'.
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).ok()?;
    (i32::from(lock.l_type) != libc::F_UNLCK).then_some(lock.l_pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_print_as_ranges() {
        assert_eq!(CpuList(vec![0, 1, 2, 5, 7, 8]).to_string(), "0-2,5,7-8");
    }

    #[test]
    fn missing_hugepages_come_with_the_command() {
        let pages = Hugepages::parse(
            "MemTotal: 1 kB\nHugePages_Total:      10\nHugePages_Free:        3\n\
             Hugepagesize:       2048 kB\n",
        );
        let pages = pages.unwrap();
        assert_eq!((pages.page_kib, pages.total, pages.free), (2048, 10, 3));
        assert!(pages.check(6).is_ok());
        let message = EalError::NoHugepages {
            wanted_mib: 64,
            free: 3,
            total: 10,
            page_kib: 2048,
            cure: 39,
        }
        .to_string();
        assert!(
            message.contains("sysctl -w vm.nr_hugepages=39"),
            "{message}"
        );
    }

    #[test]
    fn a_pci_device_that_is_not_there_has_no_driver() {
        assert_eq!(pci_driver("ffff:ff:1f.7"), None);
    }
}
