//! Names of interfaces, ports and MAC addresses, checked when they are made.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The name of a Linux interface: 1 to 15 bytes, no `/`, `:`, space or control character, not `.` or
/// `..` (what the kernel's `dev_valid_name` accepts). No `%` either: the kernel makes another name
/// of that, as `tap0` of `tap%d`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IfName(String);

impl IfName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IfName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |c: char| matches!(c, '/' | ':' | '%') || c.is_whitespace() || c.is_control();
        if text.is_empty() {
            Err("an interface needs a name".into())
        } else if text.len() > 15 {
            let len = text.len();
            Err(format!(
                "\"{text}\" has {len} bytes; Linux takes interface names of 15 at most"
            ))
        } else if text == "." || text == ".." || text.contains(bad) {
            Err(format!(
                "\"{text}\" is not a name that Linux takes for an interface"
            ))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for IfName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A unicast Ethernet address of a port: not all zero, not multicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// The six bytes, in the order of the wire.
    pub fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl FromStr for MacAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let not = || format!("\"{text}\" is not a MAC address like 02:00:00:00:00:01");
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(not)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| not())?;
        }
        if parts.next().is_some() {
            return Err(not());
        }
        if octets[0] & 1 == 1 {
            return Err(format!(
                "{text} is a multicast address; a port needs a unicast one"
            ));
        }
        if octets == [0; 6] {
            return Err(format!(
                "{text} is no address at all; a port needs a unicast one"
            ));
        }
        Ok(Self(octets))
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Serialize for MacAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{IfName, MacAddress};

    #[test]
    fn interface_names_are_those_of_linux() {
        for good in ["p0", "eth0.100", "abcdefghijklmno", "tap-1_x"] {
            assert_eq!(good.parse::<IfName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "eth0:1",
            "abcdefghijklmnop",
            "a\tb",
            "tap%d",
        ] {
            assert!(bad.parse::<IfName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn mac_addresses_are_unicast_and_have_six_octets() {
        let mac: MacAddress = "02:AB:00:00:00:0f".parse().unwrap();
        assert_eq!(mac.octets(), [2, 0xab, 0, 0, 0, 15]);
        assert_eq!(mac.to_string(), "02:ab:00:00:00:0f");
        for bad in [
            "",
            "02:00",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "02:00:00:00:00:0g",
        ] {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad:?}");
        }
        assert!("02:00:00:00:00:01:02".parse::<MacAddress>().is_err());
        assert!("2:0:0:0:0:1".parse::<MacAddress>().is_err());
    }
}
