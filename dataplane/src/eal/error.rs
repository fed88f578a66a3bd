//! What can go wrong between Ironlane and DPDK, each with the next step.

use std::ffi::{CStr, NulError};

use dpdk_sys as c;

/// An error of the environment: EAL, a device, a pool, a ring.
#[derive(Debug, thiserror::Error)]
pub enum EalError {
    /// Fewer hugepages are free than asked for.
    #[error(
        "{wanted_mib} MiB of hugepages wanted, {free} pages of {page_kib} kB are free \
         ({total} reserved); run: sysctl -w vm.nr_hugepages={cure}, or set [dpdk] hugepages = \
         false to try things out"
    )]
    NoHugepages {
        /// Memory asked for.
        wanted_mib: u32,
        /// Pages that nobody uses.
        free: u64,
        /// Pages that the kernel keeps.
        total: u64,
        /// Size of a page.
        page_kib: u64,
        /// How many pages would do.
        cure: u64,
    },
    /// The kernel was built without hugepages.
    #[error(
        "this kernel has no hugepages (/sys/kernel/mm/hugepages); set [dpdk] hugepages = false"
    )]
    HugepagesUnsupported,
    /// Hugepages in files, and no file system for them.
    #[error(
        "no hugetlbfs is mounted, which [dpdk] in_memory = false needs; run: mkdir -p /dev/hugepages \
         && mount -t hugetlbfs nodev /dev/hugepages, or set [dpdk] in_memory = true"
    )]
    NoHugetlbfs,
    /// A CPU that does not exist, or that this process may not use.
    #[error(
        "CPU {cpu} is not there for this process; it may use {allowed} \
         (see taskset -p, cpuset, isolcpus)"
    )]
    NoSuchCpu {
        /// The CPU asked for.
        cpu: usize,
        /// CPUs that would do, as a list of ranges.
        allowed: String,
    },
    /// A process with the same file prefix runs.
    #[error(
        "another DPDK process (pid {pid}) uses the file prefix {prefix}; stop it, or choose \
         another file_prefix"
    )]
    PrefixInUse {
        /// The prefix.
        prefix: String,
        /// The other process.
        pid: i32,
    },
    /// EAL runs already in this process, and can be started only once.
    #[error("EAL runs already in this process, started with other settings")]
    StartedDifferently,
    /// EAL ended or failed, after which DPDK cannot start again in the same process.
    #[error("EAL ended or did not start before; DPDK can be started once in a process")]
    StartedBefore,
    /// EAL refused to start for a reason not known here.
    #[error(
        "DPDK's EAL does not start with arguments {args}: {reason}{}",
        said(log)
    )]
    Init {
        /// The arguments it got.
        args: String,
        /// Its error number in words.
        reason: String,
        /// What it logged last.
        log: Vec<String>,
    },
    /// A thread could not be started, pinned or made known to DPDK.
    #[error("thread {name}: {what}: {reason}")]
    Thread {
        /// The thread.
        name: String,
        /// What failed.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A string for DPDK has a zero byte in it.
    #[error("a zero byte inside a name or argument")]
    ZeroByte(#[from] NulError),
    /// A pool of packet buffers could not be made.
    #[error(
        "mempool {name}: no memory for {mbufs} packet buffers of {room} bytes on NUMA node \
         {socket} ({reason}); give more hugepages, or fewer mbufs"
    )]
    Mempool {
        /// The pool.
        name: String,
        /// Buffers asked for.
        mbufs: u32,
        /// Bytes of one buffer.
        room: u16,
        /// NUMA node, -1 for any.
        socket: i32,
        /// Error number in words.
        reason: String,
    },
    /// A ring could not be made.
    #[error("ring {name} of {size} packets: {reason}")]
    Ring {
        /// The ring.
        name: String,
        /// Slots asked for.
        size: u32,
        /// Error number in words.
        reason: String,
    },
    /// The device string names nothing that DPDK could open.
    #[error("port {port}: device {device:?}: {reason}{}", said(log))]
    Device {
        /// The port by its configured name.
        port: String,
        /// The device string.
        device: String,
        /// Why, and what to do.
        reason: String,
        /// What DPDK logged about it.
        log: Vec<String>,
    },
    /// A PCI device that is bound to a driver of the kernel.
    #[error(
        "port {port}: {device} is bound to the kernel driver {driver}, not vfio-pci; run: \
         driverctl set-override {device} vfio-pci"
    )]
    KernelDriver {
        /// The port by its configured name.
        port: String,
        /// PCI address.
        device: String,
        /// The kernel's driver.
        driver: String,
    },
    /// A device refused a setting.
    #[error("port {port} ({device}): cannot {what}: {reason}{}", said(log))]
    Port {
        /// The port by its configured name.
        port: String,
        /// DPDK's name of the device.
        device: String,
        /// What was tried.
        what: String,
        /// Error number in words, and what to do.
        reason: String,
        /// What DPDK logged about it.
        log: Vec<String>,
    },
}

/// DPDK's own last lines, as the tail of a message.
pub(super) fn said(log: &[String]) -> String {
    if log.is_empty() {
        String::new()
    } else {
        format!("; DPDK says: {}", log.join(" / "))
    }
}

/// DPDK's words for an error number, positive or negative.
pub(super) fn strerror(errno: i32) -> String {
    // SAFETY: `rte_strerror` takes any number and returns a string that lasts at least until the
    // next call on this thread.
    unsafe { CStr::from_ptr(c::rte_strerror(errno.abs())) }
        .to_string_lossy()
        .into_owned()
}

/// DPDK's error number of this thread.
pub(super) fn errno() -> i32 {
    // SAFETY: reads a thread-local integer.
    unsafe { c::il_errno() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cures_name_keys_that_there_are() {
        let few = EalError::NoHugepages {
            wanted_mib: 512,
            free: 0,
            total: 0,
            page_kib: 2048,
            cure: 256,
        };
        for error in [few, EalError::HugepagesUnsupported] {
            let told = error.to_string();
            assert!(told.contains("set [dpdk] hugepages = false"), "{told}");
        }
        let told = EalError::NoHugetlbfs.to_string();
        assert!(told.contains("set [dpdk] in_memory = true"), "{told}");
    }
}
