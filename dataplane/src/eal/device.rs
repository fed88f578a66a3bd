//! Opening and closing devices by their strings.
//!
//! A device string is DPDK's: a PCI address (`0000:3b:00.0`) or the name of a virtual device
//! (`net_tap0,iface=wan0`), then arguments after a comma. A device that is there already is used
//! as it is: PCI devices are opened when EAL starts, ring ports of tests by the tests.

use std::ffi::{CStr, CString};

use dpdk_sys as c;
use nix::errno::Errno;

use super::error::strerror;
use super::host;
use super::{Eal, EalError};

/// A device that DPDK has opened, by its port number.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) eal: Eal,
    /// DPDK's port number.
    pub(super) id: u16,
    /// DPDK's name of the device, without arguments.
    pub(super) name: String,
    /// Bus and name, where this object added the device and has to remove it.
    added: Option<&'static str>,
}

impl Device {
    /// Opens what `string` names. `port` is the configured name, for messages.
    pub(super) fn open(eal: Eal, port: &str, string: &str) -> Result<Self, EalError> {
        let (name, args) = string.split_once(',').unwrap_or((string, ""));
        let bad = |reason: String, log| EalError::Device {
            port: port.to_owned(),
            device: string.to_owned(),
            reason,
            log,
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            let cure = "give a PCI address (0000:3b:00.0) or a virtual device \
                        (net_tap0,iface=wan0)";
            return Err(bad(cure.to_owned(), Vec::new()));
        }
        let pci = is_pci(name);
        if let Some(id) = find(name)? {
            // Opened by EAL when it started, or by a test that also takes it away.
            let added = pci.then_some("pci");
            return Ok(Self {
                eal,
                id,
                name: name.to_owned(),
                added,
            });
        }
        if pci {
            match host::pci_driver(name) {
                None => {
                    return Err(bad(
                        "no such PCI device; see: lspci -D".to_owned(),
                        Vec::new(),
                    ));
                }
                Some(driver) => check_driver(port, name, driver)?,
            }
        }
        let bus = if pci { "pci" } else { "vdev" };
        let (rc, log) = {
            let bus = CString::new(bus)?;
            let (name, args) = (CString::new(name)?, CString::new(args)?);
            eal.call_logged(move || {
                // SAFETY: three strings that end with a zero byte, which DPDK copies.
                unsafe { c::rte_eal_hotplug_add(bus.as_ptr(), name.as_ptr(), args.as_ptr()) }
            })
        };
        match (rc, find(name)?) {
            (0, Some(id)) => Ok(Self {
                eal,
                id,
                name: name.to_owned(),
                added: Some(bus),
            }),
            (0, None) => Err(bad("it opens, but it is no network device".to_owned(), log)),
            (rc, _) if rc == -(Errno::EEXIST as i32) => {
                Err(bad("a device of that name is open already".to_owned(), log))
            }
            (rc, _) if pci => Err(bad(
                format!(
                    "DPDK has no driver for it, or the driver gave up ({})",
                    strerror(rc)
                ),
                log,
            )),
            (rc, _) => Err(bad(
                format!(
                    "{}; a virtual device is named by its driver and a number, as in net_tap0, \
                     and its arguments must be right (DPDK's guide \"Network Interface \
                     Controller Drivers\")",
                    strerror(rc)
                ),
                log,
            )),
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let Some(bus) = self.added else { return };
        let id = self.id;
        let (Ok(bus), Ok(name)) = (CString::new(bus), CString::new(self.name.as_str())) else {
            return;
        };
        let (rc, log) = self.eal.call_logged(move || {
            // SAFETY: the port is ours and stopped; the strings end with a zero byte.
            unsafe {
                c::rte_eth_dev_close(id);
                c::rte_eal_hotplug_remove(bus.as_ptr(), name.as_ptr())
            }
        });
        if rc != 0 {
            tracing::warn!(
                "device {}: not removed: {} {log:?}",
                self.name,
                strerror(rc)
            );
        }
    }
}

/// The port of a device that is open.
fn find(name: &str) -> Result<Option<u16>, EalError> {
    let name = CString::new(name)?;
    let mut id = 0;
    // SAFETY: the string ends with a zero byte; `id` is written on success only.
    let rc = unsafe { c::rte_eth_dev_get_port_by_name(name.as_ptr(), &raw mut id) };
    Ok((rc == 0).then_some(id))
}

/// Whether the string looks like `0000:3b:00.0`.
pub(super) fn is_pci(name: &str) -> bool {
    let parts: Vec<&str> = name.split([':', '.']).collect();
    let hex = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_hexdigit());
    parts.len() == 4 && name.matches(':').count() == 2 && parts.iter().all(hex)
}

/// Whether DPDK can have a device that has this driver of the kernel. Mellanox's, Netronome's
/// and Microsoft's drivers share the device with DPDK; every other one owns it.
fn check_driver(port: &str, device: &str, driver: Option<String>) -> Result<(), EalError> {
    const SHARED: &[&str] = &[
        "vfio-pci",
        "uio_pci_generic",
        "igb_uio",
        "mlx4_core",
        "mlx5_core",
        "mana",
        "hv_netvsc",
    ];
    match driver {
        Some(driver) if SHARED.contains(&driver.as_str()) => Ok(()),
        driver => Err(EalError::KernelDriver {
            port: port.to_owned(),
            device: device.to_owned(),
            driver: driver.unwrap_or_else(|| "none".to_owned()),
        }),
    }
}

/// A string of DPDK's, or nothing where the pointer is null.
///
/// # Safety
///
/// `text` must be null or point to a string that ends with a zero byte.
pub(super) unsafe fn text(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_addresses_are_told_from_names() {
        for yes in ["0000:3b:00.0", "0001:af:1f.7"] {
            assert!(is_pci(yes), "{yes}");
        }
        for no in ["net_tap0", "0000:3b:00", "net_ring:a.b:c", "::.", "3b:00.0"] {
            assert!(!is_pci(no), "{no}");
        }
    }

    #[test]
    fn a_kernel_driver_is_named_with_the_cure() {
        let error = check_driver("p0", "0000:3b:02.1", Some("iavf".into())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "port p0: 0000:3b:02.1 is bound to the kernel driver iavf, not vfio-pci; run: \
             driverctl set-override 0000:3b:02.1 vfio-pci"
        );
        assert!(check_driver("p0", "0000:3b:02.1", Some("mlx5_core".into())).is_ok());
    }
}
