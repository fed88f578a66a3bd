//! What a port is made of: a PCI device, or a virtual device that DPDK makes.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The `device` of a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Device {
    /// A PCI device, `0000:3b:02.1`, with the driver arguments that follow it (`,arg=value`).
    Pci {
        /// The address with its domain, in lower case.
        address: String,
        /// What follows the first comma, empty if nothing does.
        args: String,
    },
    /// A virtual device, `net_tap0,iface=x`.
    Virtual {
        /// The driver's name with its instance, `net_tap0`.
        name: String,
        /// What follows the first comma, empty if nothing does.
        args: String,
    },
}

/// Drivers of virtual devices that Ironlane is tried with; another one that DPDK has is passed on.
const KNOWN: &[&str] = &[
    "net_tap",
    "net_pcap",
    "net_ring",
    "net_null",
    "net_af_packet",
    "net_af_xdp",
    "net_memif",
    "net_vhost",
    "net_virtio_user",
];

impl Device {
    /// True for a device of a real or emulated PCI bus.
    pub fn is_pci(&self) -> bool {
        matches!(self, Device::Pci { .. })
    }

    /// PCI address, or name of the virtual device, without arguments.
    pub fn id(&self) -> &str {
        match self {
            Device::Pci { address, .. } => address,
            Device::Virtual { name, .. } => name,
        }
    }

    /// Driver arguments, without the leading comma.
    pub fn args(&self) -> &str {
        match self {
            Device::Pci { args, .. } | Device::Virtual { args, .. } => args,
        }
    }

    /// The value of one driver argument: `iface` of `net_tap0,iface=x` is `x`.
    pub fn arg(&self, key: &str) -> Option<&str> {
        self.args()
            .split(',')
            .find_map(|pair| pair.split_once('=').filter(|p| p.0 == key))
            .map(|p| p.1)
    }

    /// The driver of a virtual device without its instance number: `net_tap`.
    pub fn driver(&self) -> Option<&str> {
        match self {
            Device::Pci { .. } => None,
            Device::Virtual { name, .. } => {
                Some(name.trim_end_matches(|c: char| c.is_ascii_digit()))
            }
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, args) = text.split_once(',').unwrap_or((text, ""));
        if let Some(address) = pci_address(id) {
            return Ok(Device::Pci {
                address,
                args: args.to_owned(),
            });
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !(id.starts_with("net_") || id.starts_with("eth_")) || !id.chars().all(word) {
            return Err(format!(
                "\"{id}\" is neither a PCI address like 0000:3b:02.1 nor a DPDK device like \
                 net_tap0{}",
                super::reader::nearest(id, KNOWN.iter().copied())
            ));
        }
        for pair in args.split(',').filter(|_| !args.is_empty()) {
            if pair.split_once('=').is_none_or(|(k, _)| k.is_empty()) {
                return Err(format!(
                    "argument \"{pair}\" of {id} is not of the form name=value"
                ));
            }
        }
        let driver = id.trim_end_matches(|c: char| c.is_ascii_digit());
        // A driver that is not listed may well be there; one that is two letters off is not.
        let near = |known: &&str| strsim::damerau_levenshtein(known, driver) <= 2;
        if !KNOWN.contains(&driver)
            && let Some(known) = KNOWN.iter().copied().find(near)
        {
            return Err(format!(
                "there is no driver {driver}; did you mean \"{known}\"?"
            ));
        }
        Ok(Device::Virtual {
            name: id.to_owned(),
            args: args.to_owned(),
        })
    }
}

/// `dddd:bb:dd.f` or `bb:dd.f`, returned with its domain and in lower case.
fn pci_address(text: &str) -> Option<String> {
    let (rest, function) = text.rsplit_once('.')?;
    let mut parts: Vec<&str> = rest.split(':').collect();
    if parts.len() == 2 {
        parts.insert(0, "0000");
    }
    let &[domain, bus, slot] = parts.as_slice() else {
        return None;
    };
    let hex = |s: &str, len| s.len() == len && s.chars().all(|c| c.is_ascii_hexdigit());
    let good = hex(domain, 4)
        && hex(bus, 2)
        && hex(slot, 2)
        && matches!(function.as_bytes(), [b'0'..=b'7']);
    good.then(|| format!("{domain}:{bus}:{slot}.{function}").to_lowercase())
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())?;
        if !self.args().is_empty() {
            write!(f, ",{}", self.args())?;
        }
        Ok(())
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Device;

    #[test]
    fn pci_addresses_get_their_domain_and_lower_case() {
        let device: Device = "3B:02.1".parse().unwrap();
        assert_eq!(device.to_string(), "0000:3b:02.1");
        assert!(device.is_pci());
        let device: Device = "0000:3b:02.1,representor=[0-3]".parse().unwrap();
        assert_eq!(
            (device.id(), device.args()),
            ("0000:3b:02.1", "representor=[0-3]")
        );
    }

    #[test]
    fn virtual_devices_keep_their_arguments() {
        let device: Device = "net_tap0,iface=vr0,mac=fixed".parse().unwrap();
        assert_eq!(
            (device.id(), device.driver()),
            ("net_tap0", Some("net_tap"))
        );
        assert_eq!(
            (device.arg("iface"), device.arg("nothing")),
            (Some("vr0"), None)
        );
        assert_eq!(device.to_string(), "net_tap0,iface=vr0,mac=fixed");
        assert!(
            "net_ring_own".parse::<Device>().is_ok(),
            "a driver we do not know is DPDK's matter"
        );
    }

    #[test]
    fn wrong_devices_are_named_with_what_was_meant() {
        let error = |text: &str| text.parse::<Device>().unwrap_err();
        assert!(
            error("eth0").contains("neither a PCI address"),
            "{}",
            error("eth0")
        );
        assert!(
            error("net_tpa0").contains("did you mean \"net_tap\""),
            "{}",
            error("net_tpa0")
        );
        assert!(error("net_tap0,iface").contains("not of the form name=value"));
        assert!(error("0000:3b:02.9").contains("neither a PCI address"));
    }
}
