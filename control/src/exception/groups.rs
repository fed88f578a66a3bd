//! The multicast groups that a tap is to receive, as the kernel would tell a NIC.
//!
//! Whoever joins a group on a tap (FRR for OSPF, isisd by a packet socket, the kernel for the
//! solicited-node group of each IPv6 address) ends in the device's list, which the kernel shows
//! in `/proc/net/dev_mcast`. A virtual function receives listed groups only, and lcores punt groups
//! beyond the link only if they are listed, so both have to follow the list of the tap.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::netns::Namespace;

/// The lists of all interfaces of a namespace, open for reading again and again.
#[derive(Debug)]
pub struct GroupLists {
    file: File,
    text: String,
}

impl GroupLists {
    /// Opens the lists. The file keeps showing `namespace`, whichever thread reads it.
    ///
    /// # Errors
    /// If the namespace cannot be entered, or the kernel has no such file.
    pub fn open(namespace: &Namespace) -> io::Result<Self> {
        let file = namespace
            .run(|| File::open("/proc/thread-self/net/dev_mcast"))
            .map_err(io::Error::other)??;
        Ok(Self {
            file,
            text: String::new(),
        })
    }

    /// Reads the lists anew.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn refresh(&mut self) -> io::Result<()> {
        self.text.clear();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_string(&mut self.text)?;
        Ok(())
    }

    /// The groups of one interface when last read, sorted.
    pub fn of(&self, ifindex: u32) -> Vec<[u8; 6]> {
        let mut groups: Vec<_> = self
            .text
            .lines()
            .filter_map(|line| parse(line, ifindex))
            .collect();
        groups.sort_unstable();
        groups
    }
}

/// A line is `ifindex name users global-users address`.
fn parse(line: &str, ifindex: u32) -> Option<[u8; 6]> {
    let mut words = line.split_ascii_whitespace();
    if words.next()?.parse() != Ok(ifindex) {
        return None;
    }
    let digits = words.nth(3).filter(|digits| digits.len() == 12)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    let [_, _, group @ ..] = number.to_be_bytes();
    Some(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_interfaces_and_other_shapes_are_passed_over() {
        let line = "12   p0              1     0     01005e000005";
        assert_eq!(parse(line, 12), Some([1, 0, 0x5e, 0, 0, 5]));
        assert_eq!(parse(line, 1), None);
        for odd in [
            "",
            "12",
            "12 p0 1 0",
            "12 p0 1 0 01005e",
            "12 p0 1 0 zz005e000005",
        ] {
            assert_eq!(parse(odd, 12), None, "{odd}");
        }
    }
}
