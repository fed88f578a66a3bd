//! Locked pages, cut into places of one key each.
#![allow(unsafe_code)] // maps memory, locks it, and lends parts of it

use std::ptr::NonNull;
use std::sync::atomic::{Ordering, compiler_fence};
use std::sync::{Mutex, MutexGuard};

use super::SecretError;

/// Bytes of a place.
pub(super) const PLACE_BYTES: usize = 64;

/// Bytes that are mapped at a time: room for a thousand keys.
const CHUNK_BYTES: usize = 64 << 10;

/// Places that hold no key. Chunks are never unmapped: they are few, and locked memory that was
/// hard to get is kept.
static FREE: Mutex<Vec<Free>> = Mutex::new(Vec::new());

/// A place that nobody owns, all zeros.
struct Free(NonNull<[u8; PLACE_BYTES]>);

// SAFETY: it points at memory that belongs to whoever has the `Free`, on any thread.
unsafe impl Send for Free {}

/// A place that holds a key.
pub(super) struct Place(NonNull<[u8; PLACE_BYTES]>);

// SAFETY: it owns the memory that it points at, as a Box would.
unsafe impl Send for Place {}
// SAFETY: shared, it lends its bytes for reading only.
unsafe impl Sync for Place {}

impl Place {
    /// A place with these bytes, no more than [`PLACE_BYTES`], at its start.
    pub(super) fn holding(bytes: &[u8]) -> Result<Self, SecretError> {
        let mut free = free_places();
        if free.is_empty() {
            map_chunk(&mut free)?;
        }
        let mut place = Self(free.pop().expect("a chunk has places").0);
        drop(free);
        place.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        Ok(place)
    }

    pub(super) fn bytes(&self) -> &[u8; PLACE_BYTES] {
        // SAFETY: mapped for good, initialised (by the system, then by us), and ours alone.
        unsafe { self.0.as_ref() }
    }

    fn bytes_mut(&mut self) -> &mut [u8; PLACE_BYTES] {
        // SAFETY: as in `bytes`, and `&mut self` says that nobody reads.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        wipe(self.bytes_mut());
        free_places().push(Free(self.0));
    }
}

/// Overwrites with zeros, in a way that the compiler may not leave out.
pub(super) fn wipe(bytes: &mut [u8]) {
    for byte in bytes {
        // SAFETY: a valid, aligned reference.
        unsafe { std::ptr::write_volatile(byte, 0) };
    }
    // The zeros come before whatever the caller does next, such as giving the memory away.
    compiler_fence(Ordering::SeqCst);
}

fn free_places() -> MutexGuard<'static, Vec<Free>> {
    // A poisoned lock only says that another thread panicked; the list is still a list.
    FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Maps one more chunk and adds its places.
fn map_chunk(free: &mut Vec<Free>) -> Result<(), SecretError> {
    let failed = |what: &str| {
        let error = std::io::Error::last_os_error();
        Err(SecretError::NotLocked(format!("{what}: {error}")))
    };
    // SAFETY: a new private mapping; it touches nothing that exists.
    let chunk = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            CHUNK_BYTES,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if chunk == libc::MAP_FAILED {
        return failed("mmap");
    }
    let unmap = || {
        // SAFETY: the mapping made above, which nobody else knows.
        unsafe { libc::munmap(chunk, CHUNK_BYTES) };
    };
    // SAFETY: the mapping made above, all of it; the call changes no content.
    if unsafe { libc::mlock(chunk, CHUNK_BYTES) } != 0 {
        let error = failed("mlock");
        unmap();
        return error;
    }
    for (advice, name) in [
        (libc::MADV_DONTDUMP, "madvise(DONTDUMP)"),
        (libc::MADV_DONTFORK, "madvise(DONTFORK)"),
    ] {
        // SAFETY: as above.
        if unsafe { libc::madvise(chunk, CHUNK_BYTES, advice) } != 0 {
            let error = failed(name);
            unmap();
            return error;
        }
    }
    let first = NonNull::new(chunk.cast::<[u8; PLACE_BYTES]>()).expect("not MAP_FAILED");
    free.extend((0..CHUNK_BYTES / PLACE_BYTES).map(|index| {
        // SAFETY: within the chunk.
        Free(unsafe { first.add(index) })
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line `VmFlags:` of the mapping that holds `address`.
    fn vm_flags(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("Linux");
        let mut inside = false;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|word| word.split_once('-'));
            if let Some((Ok(first), Ok(end))) =
                range.map(|(a, b)| (usize::from_str_radix(a, 16), usize::from_str_radix(b, 16)))
            {
                inside = (first..end).contains(&address);
            } else if inside && let Some(flags) = line.strip_prefix("VmFlags: ") {
                return flags.to_string();
            }
        }
        panic!("{address:#x} is in no mapping");
    }

    #[test]
    fn keys_are_locked_and_neither_dumped_nor_inherited() {
        let place = Place::holding(b"a key").expect("64 KiB may be locked");
        let flags = vm_flags(place.0.addr().get());
        for flag in ["lo", "dd", "dc"] {
            assert!(
                flags.split(' ').any(|has| has == flag),
                "no {flag} in {flags}"
            );
        }
    }

    #[test]
    fn a_dropped_key_is_wiped_and_its_place_used_again() {
        let place = Place::holding(&[0xa5; PLACE_BYTES]).expect("64 KiB may be locked");
        let address = place.0;
        drop(place);
        // Held, so that no other test takes a place meanwhile.
        let free = free_places();
        if free.iter().any(|place| place.0 == address) {
            // SAFETY: chunks stay mapped, and while the list is locked nobody gets the place.
            assert_eq!(unsafe { address.read_volatile() }, [0; PLACE_BYTES]);
        }
        let all_zero = free.iter().all(|place| {
            // SAFETY: as above.
            unsafe { place.0.read_volatile() == [0; PLACE_BYTES] }
        });
        assert!(all_zero && !free.is_empty());
    }

    #[test]
    fn wiping_leaves_zeros() {
        let mut bytes = *b"secret";
        wipe(&mut bytes);
        assert_eq!(bytes, [0; 6]);
    }
}
