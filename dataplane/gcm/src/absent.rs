//! On CPUs of another kind there is nothing.

use crate::{Nonce, Tag};

/// That this CPU has the instructions, which it has not.
#[derive(Clone, Copy, Debug)]
pub enum Wide {}

/// A key, which nobody can make ready.
#[repr(C, align(64))]
pub struct Key([u8; 832]);

/// The length of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySize {}

impl Wide {
    /// `None`.
    pub fn find() -> Option<Self> {
        None
    }

    /// Is never called.
    pub fn expand(self, _key: &[u8], _to: &mut Key) -> bool {
        match self {}
    }

    /// Is never called.
    pub fn seal(
        self,
        _key: &Key,
        _size: KeySize,
        _nonce: &Nonce,
        _aad: &[u8],
        _text: &mut [u8],
    ) -> Tag {
        match self {}
    }

    /// Is never called.
    pub fn open(
        self,
        _key: &Key,
        _size: KeySize,
        _nonce: &Nonce,
        _aad: &[u8],
        _text: &mut [u8],
    ) -> Tag {
        match self {}
    }
}

impl Key {
    /// One that opens nothing.
    pub const fn empty() -> Self {
        Self([0; 832])
    }

    /// Is never called.
    pub fn prefetch(&self, size: KeySize, _len: usize) {
        match size {}
    }
}

impl KeySize {
    /// `None`.
    pub const fn of(_bytes: usize) -> Option<Self> {
        None
    }
}
