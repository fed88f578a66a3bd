//! Numbers in network order, in buffers whose length was checked.

/// The two bytes at `at`.
#[inline]
pub(crate) fn get_u16(buffer: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([buffer[at], buffer[at + 1]])
}

/// The four bytes at `at`.
#[inline]
pub(crate) fn get_u32(buffer: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([buffer[at], buffer[at + 1], buffer[at + 2], buffer[at + 3]])
}

/// Writes two bytes at `at`.
#[inline]
pub(crate) fn put_u16(buffer: &mut [u8], at: usize, value: u16) {
    buffer[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// Writes four bytes at `at`.
#[inline]
pub(crate) fn put_u32(buffer: &mut [u8], at: usize, value: u32) {
    buffer[at..at + 4].copy_from_slice(&value.to_be_bytes());
}
