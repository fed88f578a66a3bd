//! Keys: in memory that is locked, left out of core dumps, and wiped.

mod pages;

use std::fmt;
use std::sync::Arc;

use pages::Place;

/// The longest key: 64 bytes, that of HMAC-SHA-512.
pub const MAX_SECRET_BYTES: usize = pages::PLACE_BYTES;

/// The bytes of a key. Clones share them; the last one wipes them.
///
/// They lie in pages that are locked in memory, left out of core dumps and not passed on to child
/// processes. `Debug` prints the length only, and comparing takes the same time wherever two keys
/// of one length differ. Any thread; not for lcores, since making and dropping take a lock.
///
/// ```
/// use ironlane_ipsec::Secret;
///
/// let mut received = *b"0123456789abcdef";
/// let key = Secret::take(&mut received)?;
/// assert_eq!(received, [0; 16]);
/// assert_eq!(key.expose(), b"0123456789abcdef");
/// assert_eq!(format!("{key:?}"), "Secret(16 bytes)");
/// # Ok::<(), ironlane_ipsec::SecretError>(())
/// ```
#[derive(Clone)]
pub struct Secret {
    /// `None` for no key at all, as of a null cipher.
    place: Option<Arc<Place>>,
    len: usize,
}

/// Why a key could not be kept.
///
/// ```
/// use ironlane_ipsec::{Secret, SecretError};
///
/// assert_eq!(Secret::new(&[1; 65]), Err(SecretError::TooLong(65)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// More than [`MAX_SECRET_BYTES`].
    #[error("a key of {0} bytes is longer than the {MAX_SECRET_BYTES} that any algorithm takes")]
    TooLong(usize),
    /// The system gave no memory, or would not lock it.
    #[error(
        "no locked memory for keys: {0}; raise the limit (LimitMEMLOCK= in the unit, or ulimit -l)"
    )]
    NotLocked(String),
}

impl Secret {
    /// No key.
    pub const EMPTY: Self = Self {
        place: None,
        len: 0,
    };

    /// Keeps a copy of `bytes`; the caller should wipe the original, as [`take`](Self::take) does.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn new(bytes: &[u8]) -> Result<Self, SecretError> {
        if bytes.len() > MAX_SECRET_BYTES {
            return Err(SecretError::TooLong(bytes.len()));
        }
        if bytes.is_empty() {
            return Ok(Self::EMPTY);
        }
        Ok(Self {
            place: Some(Arc::new(Place::holding(bytes)?)),
            len: bytes.len(),
        })
    }

    /// Keeps a copy of `bytes` and wipes them, also if it fails.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn take(bytes: &mut [u8]) -> Result<Self, SecretError> {
        let made = Self::new(bytes);
        pages::wipe(bytes);
        made
    }

    /// The bytes, for the one who needs them: a crypto device that makes a session.
    pub fn expose(&self) -> &[u8] {
        self.place
            .as_deref()
            .map_or(&[], |place| &place.bytes()[..self.len])
    }

    /// How many bytes.
    pub fn len_bytes(&self) -> usize {
        self.len
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let differ = |all: u8, (a, b): (&u8, &u8)| all | (a ^ b);
        let pairs = self.expose().iter().zip(other.expose());
        self.len == other.len && std::hint::black_box(pairs.fold(0, differ)) == 0
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len)
    }
}
