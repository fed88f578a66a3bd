//! Opening and closing devices of `rte_cryptodev`.

use std::ffi::{CStr, CString};
use std::sync::{Mutex, PoisonError};

use dpdk_sys as c;

use super::super::Eal;
use super::super::device::{is_pci, text};
use super::super::error::strerror;
use super::super::host;
use super::CryptoError;

/// Jobs that a queue pair takes before some have come back.
const DESCRIPTORS: u16 = 256;

/// A device that is configured and started.
#[derive(Debug)]
pub(super) struct Cryptodev {
    eal: Eal,
    pub(super) id: u8,
    /// The device string without arguments.
    pub(super) name: String,
    pub(super) driver: String,
    /// Those that no engine has, and how many there are in all.
    queue_pairs: Mutex<Vec<u16>>,
    all: u16,
    /// Bus, where this object added the device and has to remove it.
    added: Option<&'static str>,
}

impl Cryptodev {
    /// Opens what `string` names, with so many queue pairs.
    pub(super) fn open(
        eal: Eal,
        string: &str,
        queue_pairs: u16,
        socket: i32,
    ) -> Result<Self, CryptoError> {
        let (name, args) = string.split_once(',').unwrap_or((string, ""));
        let bad = |reason: String, log| CryptoError::Device {
            device: string.to_owned(),
            reason,
            log,
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            let cure = "give \"cpu\", \"libipsec-mb\", a virtual device (crypto_openssl0) or a PCI address (0000:3b:00.0)";
            return Err(bad(cure.to_owned(), Vec::new()));
        }
        let pci = is_pci(name);
        let (id, added) = match find(name) {
            Some(id) => (id, None),
            None => {
                if pci && host::pci_driver(name).is_none() {
                    return Err(bad(
                        "no such PCI device; see: lspci -D".to_owned(),
                        Vec::new(),
                    ));
                }
                let bus = if pci { "pci" } else { "vdev" };
                let args = match (pci, args.contains("max_nb_queue_pairs")) {
                    (false, false) => format!("max_nb_queue_pairs={queue_pairs},{args}"),
                    _ => args.to_owned(),
                };
                let log = add(eal, bus, name, args.trim_end_matches(',')).map_err(|(rc, log)| {
                    bad(
                        format!(
                            "{}; a virtual device is named by its driver and a number, as in \
                             crypto_openssl0, and its driver must be installed (librte-meta-crypto)",
                            strerror(rc)
                        ),
                        log,
                    )
                })?;
                let Some(id) = find(name) else {
                    return Err(bad("it opens, but it is no crypto device".to_owned(), log));
                };
                (id, Some(bus))
            }
        };
        let mut info = c::il_crypto_info::default();
        // SAFETY: a device that was just found; `info` is written.
        unsafe { c::il_crypto_info(id, &raw mut info) };
        let device = Self {
            eal,
            id,
            name: name.to_owned(),
            // SAFETY: the driver's name is a string that stays as long as the driver.
            driver: unsafe { text(info.driver) },
            queue_pairs: Mutex::new((0..queue_pairs).rev().collect()),
            all: queue_pairs,
            added,
        };
        if queue_pairs > info.max_queue_pairs {
            return Err(CryptoError::Engines {
                device: name.to_owned(),
                wanted: queue_pairs.into(),
                has: info.max_queue_pairs.into(),
            });
        }
        // SAFETY: plain numbers; a device that nobody has started.
        let (rc, log) = eal.call_logged(move || unsafe {
            c::il_crypto_start(id, queue_pairs, DESCRIPTORS, socket)
        });
        if rc != 0 {
            return Err(bad(format!("it does not start: {}", strerror(rc)), log));
        }
        Ok(device)
    }

    /// A queue pair that no other engine has.
    pub(super) fn take_queue_pair(&self) -> Result<u16, CryptoError> {
        let mut free = self
            .queue_pairs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        free.pop().ok_or_else(|| CryptoError::Engines {
            device: self.name.clone(),
            wanted: usize::from(self.all) + 1,
            has: self.all.into(),
        })
    }

    pub(super) fn give_queue_pair(&self, queue_pair: u16) {
        let mut free = self
            .queue_pairs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        free.push(queue_pair);
    }
}

impl Drop for Cryptodev {
    fn drop(&mut self) {
        let id = self.id;
        let remove = self.added.and_then(|bus| {
            Some((
                CString::new(bus).ok()?,
                CString::new(self.name.as_str()).ok()?,
            ))
        });
        let (rc, log) = self.eal.call_logged(move || {
            // SAFETY: no engine has a queue pair any more; the strings end with a zero byte.
            unsafe {
                c::rte_cryptodev_stop(id);
                c::rte_cryptodev_close(id);
                remove.map_or(0, |(bus, name)| {
                    c::rte_eal_hotplug_remove(bus.as_ptr(), name.as_ptr())
                })
            }
        });
        if rc != 0 {
            tracing::warn!(
                "crypto device {}: not removed: {} {log:?}",
                self.name,
                strerror(rc)
            );
        }
    }
}

/// Has DPDK open a device; its error number and what it logged if it does not.
fn add(eal: Eal, bus: &str, name: &str, args: &str) -> Result<Vec<String>, (i32, Vec<String>)> {
    let strings = [bus, name, args].map(CString::new);
    let [Ok(bus), Ok(name), Ok(args)] = strings else {
        return Err((nix::errno::Errno::EINVAL as i32, Vec::new()));
    };
    let (rc, log) = eal.call_logged(move || {
        // SAFETY: three strings that end with a zero byte, which DPDK copies.
        unsafe { c::rte_eal_hotplug_add(bus.as_ptr(), name.as_ptr(), args.as_ptr()) }
    });
    if rc == 0 { Ok(log) } else { Err((rc, log)) }
}

/// DPDK's number of a device that is open. One on the PCI bus has a tail behind its address
/// (`0000:3d:01.0_qat_sym`).
fn find(name: &str) -> Option<u8> {
    (0..c::IL_CRYPTO_DEVICES as u8).find(|&id| {
        // SAFETY: returns null for numbers that no device has.
        let found = unsafe { c::rte_cryptodev_name_get(id).as_ref() };
        // SAFETY: a string that ends with a zero byte and stays as long as the device.
        let found = found.map(|text| unsafe { CStr::from_ptr(text) }.to_string_lossy());
        found.is_some_and(|found| {
            found == name
                || found
                    .strip_prefix(name)
                    .is_some_and(|tail| tail.starts_with("_"))
        })
    })
}
