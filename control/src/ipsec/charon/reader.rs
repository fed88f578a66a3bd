//! Reads the parts that bodies are made of, with bounds.

use std::net::IpAddr;

use ironlane_ipsec::{Mark, Secret};

use super::request::{Kind, Ts};

/// A body that is not what the protocol has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, byte {at}: {what}")]
pub struct Malformed {
    /// Which message.
    pub kind: Kind,
    /// Where in the body.
    pub at: usize,
    /// What is wrong there.
    pub what: String,
}

/// Goes through a body once.
pub(super) struct Reader<'a> {
    kind: Kind,
    body: &'a mut [u8],
    at: usize,
}

pub(super) type Read<T> = Result<T, Malformed>;

impl<'a> Reader<'a> {
    pub(super) fn new(kind: u8, body: &'a mut [u8]) -> Self {
        Self {
            kind: Kind(kind),
            body,
            at: 0,
        }
    }

    /// An error about what was just read, `len` bytes before here.
    pub(super) fn fault<T>(&self, len: usize, what: impl Into<String>) -> Read<T> {
        Err(Malformed {
            kind: self.kind,
            at: self.at.saturating_sub(len),
            what: what.into(),
        })
    }

    fn take(&mut self, len: usize, what: &str) -> Read<&mut [u8]> {
        let left = self.body.len() - self.at;
        if len > left {
            return self.fault(0, format!("{what} needs {len} bytes, and {left} are left"));
        }
        let from = self.at;
        self.at += len;
        Ok(&mut self.body[from..self.at])
    }

    fn array<const N: usize>(&mut self, what: &str) -> Read<[u8; N]> {
        let bytes = self.take(N, what)?;
        let mut array = [0; N];
        array.copy_from_slice(bytes);
        Ok(array)
    }

    pub(super) fn u8(&mut self, what: &str) -> Read<u8> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, what: &str) -> Read<u16> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Read<u32> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Read<u64> {
        self.array(what).map(u64::from_be_bytes)
    }

    /// A byte that means something for some values only.
    pub(super) fn choice<T>(
        &mut self,
        what: &str,
        meaning: impl FnOnce(u8) -> Option<T>,
    ) -> Read<T> {
        let byte = self.u8(what)?;
        match meaning(byte) {
            Some(value) => Ok(value),
            None => self.fault(1, format!("{byte} is no {what}")),
        }
    }

    pub(super) fn flag(&mut self, what: &str) -> Read<bool> {
        self.choice(what, |byte| (byte <= 1).then_some(byte == 1))
    }

    fn bytes_of_family(&mut self, family: u8, what: &str) -> Read<IpAddr> {
        match family {
            4 => self.array::<4>(what).map(IpAddr::from),
            _ => self.array::<16>(what).map(IpAddr::from),
        }
    }

    fn family(&mut self, what: &str) -> Read<u8> {
        self.choice(&format!("address family of {what} (4 or 6)"), |f| {
            matches!(f, 4 | 6).then_some(f)
        })
    }

    pub(super) fn address(&mut self, what: &str) -> Read<IpAddr> {
        let family = self.family(what)?;
        self.bytes_of_family(family, what)
    }

    pub(super) fn mark(&mut self, what: &str) -> Read<Mark> {
        Ok(Mark {
            value: self.u32(what)?,
            mask: self.u32(what)?,
        })
    }

    pub(super) fn text(&mut self, what: &str) -> Read<String> {
        let len = usize::from(self.u16(what)?);
        let bytes = self.take(len, what)?.to_vec();
        match String::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => self.fault(len, format!("{what} is not UTF-8")),
        }
    }

    /// A key; its bytes are wiped here.
    pub(super) fn secret(&mut self, what: &str) -> Read<Secret> {
        let len = usize::from(self.u16(what)?);
        let taken = Secret::take(self.take(len, what)?);
        taken.or_else(|e| self.fault(len, format!("{what}: {e}")))
    }

    pub(super) fn selector(&mut self, what: &str) -> Read<Ts> {
        let from = self.at;
        let family = self.family(what)?;
        let first = self.bytes_of_family(family, what)?;
        let last = self.bytes_of_family(family, what)?;
        let protocol = self.u8(what)?;
        let (first_port, last_port) = (self.u16(what)?, self.u16(what)?);
        Ts::new(first, last, protocol, first_port, last_port)
            .or_else(|e| self.fault(self.at - from, format!("{what}: {e}")))
    }

    pub(super) fn selectors(&mut self, what: &str) -> Read<Vec<Ts>> {
        let count = self.u16(what)?;
        // Grows as selectors come: a count alone takes no memory.
        (0..count).map(|_| self.selector(what)).collect()
    }

    /// Nothing may follow.
    pub(super) fn end(self) -> Read<()> {
        match self.body.len() - self.at {
            0 => Ok(()),
            more => self.fault(0, format!("{more} bytes more than it has")),
        }
    }
}
