//! Reads capture files in the classic pcap format: the little that the tests need.

use std::fmt;
use std::fs;
use std::path::Path;

/// Frames of a capture, in order.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Link type; 1 is Ethernet.
    pub link_type: u32,
    /// The frames, as far as they were captured.
    pub frames: Vec<Vec<u8>>,
}

/// Why a capture cannot be read.
#[derive(Debug)]
pub enum PcapError {
    /// The file cannot be read.
    Io(std::io::Error),
    /// It is not a pcap file; pcapng is not read.
    BadMagic,
    /// It ends inside a record.
    Truncated,
}

impl fmt::Display for PcapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::BadMagic => f.write_str("not a pcap file (convert pcapng with editcap -F pcap)"),
            Self::Truncated => f.write_str("the file ends inside a record"),
        }
    }
}

impl std::error::Error for PcapError {}

impl Capture {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Self, PcapError> {
        Self::parse(&fs::read(path).map_err(PcapError::Io)?)
    }

    /// Reads the bytes of a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, PcapError> {
        let magic: [u8; 4] = *bytes.first_chunk().ok_or(PcapError::BadMagic)?;
        // Microseconds or nanoseconds, in either byte order.
        let little = match u32::from_le_bytes(magic) {
            0xa1b2_c3d4 | 0xa1b2_3c4d => true,
            0xd4c3_b2a1 | 0x4d3c_b2a1 => false,
            _ => return Err(PcapError::BadMagic),
        };
        let word = |at: usize| -> Result<u32, PcapError> {
            let four = bytes.get(at..at + 4).and_then(|four| four.first_chunk());
            let four = four.ok_or(PcapError::Truncated)?;
            Ok(if little {
                u32::from_le_bytes(*four)
            } else {
                u32::from_be_bytes(*four)
            })
        };
        let link_type = word(20)? & 0x0fff_ffff;
        let mut frames = Vec::new();
        let mut at = 24;
        while at < bytes.len() {
            let len = word(at + 8)? as usize;
            at += 16;
            frames.push(
                bytes
                    .get(at..at + len)
                    .ok_or(PcapError::Truncated)?
                    .to_vec(),
            );
            at += len;
        }
        Ok(Self { link_type, frames })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(little: bool) -> Vec<u8> {
        let word = |w: u32| {
            if little {
                w.to_le_bytes()
            } else {
                w.to_be_bytes()
            }
        };
        let mut bytes = Vec::new();
        for w in [0xa1b2_c3d4, 0, 0, 0, 65535, 1] {
            bytes.extend(word(w));
        }
        for frame in [&b"one"[..], b"", b"three"] {
            for w in [0, 0, frame.len() as u32, frame.len() as u32] {
                bytes.extend(word(w));
            }
            bytes.extend(frame);
        }
        bytes
    }

    #[test]
    fn both_byte_orders_are_read() {
        for little in [true, false] {
            let capture = Capture::parse(&file(little)).unwrap();
            assert_eq!(capture.link_type, 1);
            assert_eq!(capture.frames, [&b"one"[..], b"", b"three"]);
        }
    }

    #[test]
    fn what_is_cut_or_foreign_is_refused() {
        let whole = file(true);
        assert!(matches!(
            Capture::parse(&whole[..whole.len() - 1]),
            Err(PcapError::Truncated)
        ));
        assert!(matches!(
            Capture::parse(&whole[..26]),
            Err(PcapError::Truncated)
        ));
        assert!(matches!(
            Capture::parse(b"\x0a\x0d\x0d\x0a"),
            Err(PcapError::BadMagic)
        ));
        assert!(matches!(Capture::parse(b""), Err(PcapError::BadMagic)));
    }
}
