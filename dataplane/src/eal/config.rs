//! How to start EAL, and what its command line then is.

use super::EalError;
use super::host::{CpuList, Hugepages, has_hugetlbfs};

/// Settings of EAL. Plain data; [`Eal::start`](super::Eal::start) takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EalConfig {
    /// Where packet memory comes from.
    pub memory: Memory,
    /// Prefix of the files that DPDK makes, so that several DPDK processes can live on one host.
    /// `None` makes no files at all: nothing is left behind by a kill, and other
    /// DPDK tools cannot attach.
    pub file_prefix: Option<String>,
    /// PCI devices that DPDK may open, as addresses with optional arguments
    /// (`0000:3b:00.0,arg=1`). With none the PCI bus is left alone.
    pub pci: Vec<String>,
    /// CPUs that the EAL main thread may float over; empty means all that the process may use.
    pub cpus: Vec<usize>,
    /// DPDK's log level, as its option `--log-level` takes it (`notice`, `lib.eal:debug`).
    pub log_level: Option<String>,
    /// Whether DPDK opens its telemetry socket.
    pub telemetry: bool,
    /// Further arguments, as they are.
    pub extra: Vec<String>,
}

/// Where packet memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Hugepages; `mib` are taken at start, more as needed. `None`: all as needed.
    Hugepages {
        /// Taken at start, in MiB.
        mib: Option<u32>,
    },
    /// Ordinary pages: slower, and no physical NIC; for trying things out and for tests.
    NoHuge {
        /// All there will be, in MiB.
        mib: u32,
    },
}

impl Default for EalConfig {
    fn default() -> Self {
        Self {
            memory: Memory::Hugepages { mib: None },
            file_prefix: None,
            pci: Vec::new(),
            cpus: Vec::new(),
            log_level: None,
            telemetry: false,
            extra: Vec::new(),
        }
    }
}

impl EalConfig {
    /// For tests: ordinary memory, no files, no PCI bus, no socket.
    pub fn without_hugepages(mib: u32) -> Self {
        Self {
            memory: Memory::NoHuge { mib },
            ..Self::default()
        }
    }

    /// The command line, the program's name first.
    ///
    /// There is one EAL lcore, the main one. It floats over all allowed CPUs and forwards
    /// nothing; the lcores of the data plane are threads of our own, made known to DPDK
    /// when they start. So they come and go with the data plane, while EAL starts once.
    pub(super) fn args(&self) -> Result<Vec<String>, EalError> {
        let allowed = CpuList::allowed();
        let cpus = if self.cpus.is_empty() {
            allowed.clone()
        } else {
            CpuList(self.cpus.clone())
        };
        for &cpu in &cpus.0 {
            allowed.check(cpu)?;
        }
        let mut args = vec!["ironlane".to_owned(), "--lcores".to_owned()];
        let list: Vec<_> = cpus.0.iter().map(ToString::to_string).collect();
        args.push(format!("0@({})", list.join(",")));
        match self.memory {
            Memory::Hugepages { mib } => {
                if self.file_prefix.is_some() && !has_hugetlbfs() {
                    return Err(EalError::NoHugetlbfs);
                }
                Hugepages::read()
                    .ok_or(EalError::HugepagesUnsupported)?
                    .check(mib.unwrap_or(1))?;
                if let Some(mib) = mib {
                    args.extend(["-m".to_owned(), mib.to_string()]);
                }
            }
            Memory::NoHuge { mib } => {
                args.extend(["--no-huge".to_owned(), "-m".to_owned(), mib.to_string()]);
            }
        }
        match (&self.file_prefix, self.memory) {
            (Some(prefix), _) => args.extend(["--file-prefix".to_owned(), prefix.clone()]),
            (None, Memory::Hugepages { .. }) => args.push("--in-memory".to_owned()),
            // Ordinary memory has no files; this is for the rest. DPDK refuses both together.
            (None, Memory::NoHuge { .. }) => args.push("--no-shconf".to_owned()),
        }
        if self.pci.is_empty() {
            args.push("--no-pci".to_owned());
        }
        for device in &self.pci {
            args.extend(["-a".to_owned(), device.clone()]);
        }
        if !self.telemetry {
            args.push("--no-telemetry".to_owned());
        }
        if let Some(level) = &self.log_level {
            args.extend(["--log-level".to_owned(), level.clone()]);
        }
        args.extend(self.extra.iter().cloned());
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_say_what_was_configured() {
        let config = EalConfig {
            file_prefix: Some("il".into()),
            pci: vec!["0000:01:00.0".into()],
            cpus: vec![0],
            log_level: Some("notice".into()),
            ..EalConfig::without_hugepages(64)
        };
        assert_eq!(
            config.args().unwrap().join(" "),
            "ironlane --lcores 0@(0) --no-huge -m 64 --file-prefix il -a 0000:01:00.0 \
             --no-telemetry --log-level notice"
        );
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named() {
        let config = EalConfig {
            cpus: vec![4093],
            ..EalConfig::without_hugepages(64)
        };
        let message = config.args().unwrap_err().to_string();
        assert!(message.starts_with("CPU 4093 is not there"), "{message}");
    }
}
