//! SPIs of inbound SAs: chosen at random, reserved until the SA comes.

use std::collections::HashMap;
use std::io::Read;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use ironlane_ipsec::Protocol;

use super::{Refusal, SaKey};

/// How long a reservation waits for its SA; IKE gives up on an exchange long before.
const RESERVED_FOR: Duration = Duration::from_secs(600);

/// How often another number is tried.
const TRIES: u32 = 64;

/// The SPIs that are given out and have no SA yet.
#[derive(Debug, Default)]
pub(super) struct Spis {
    reserved: HashMap<SaKey, Instant>,
}

impl Spis {
    /// Reserves an SPI within `range` for an SA to `dst` that `taken` does not know.
    pub(super) fn reserve(
        &mut self,
        protocol: Protocol,
        dst: IpAddr,
        range: RangeInclusive<u32>,
        now: Instant,
        taken: impl Fn(&SaKey) -> bool,
    ) -> Result<u32, Refusal> {
        let (least, greatest) = (*range.start().max(&256), *range.end());
        if least > greatest {
            return Err(Refusal::Refused(format!(
                "there is no SPI from {least:#x} to {greatest:#x}; set spi_min and spi_max of charon"
            )));
        }
        self.reserved.retain(|_, until| *until > now);
        let width = u64::from(greatest - least) + 1;
        for _ in 0..TRIES {
            let spi = least + ((u64::from(random()?) * width) >> 32) as u32;
            let key = SaKey { protocol, spi, dst };
            if !taken(&key) && !self.reserved.contains_key(&key) {
                self.reserved.insert(key, now + RESERVED_FOR);
                return Ok(spi);
            }
        }
        Err(Refusal::Refused(format!(
            "no free SPI was found from {least:#x} to {greatest:#x} for {dst}"
        )))
    }

    /// Ends a reservation; whether there was one.
    pub(super) fn release(&mut self, key: &SaKey) -> bool {
        self.reserved.remove(key).is_some()
    }
}

/// A random number of the kernel. An SPI is no secret, but one that can be guessed makes it cheaper to
/// have forged packets looked at.
fn random() -> Result<u32, Refusal> {
    let mut bytes = [0; 4];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|e| Refusal::Refused(format!("/dev/urandom gives no random numbers: {e}")))?;
    Ok(u32::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_spi_is_given_out_once_until_it_is_released_or_forgotten() {
        let (mut spis, now) = (Spis::default(), Instant::now());
        let dst = "192.0.2.1".parse().unwrap();
        let reserve =
            |spis: &mut Spis, now| spis.reserve(Protocol::Esp, dst, 300..=301, now, |_| false);
        let (a, b) = (
            reserve(&mut spis, now).unwrap(),
            reserve(&mut spis, now).unwrap(),
        );
        assert_eq!(a.min(b)..=a.max(b), 300..=301);
        assert!(reserve(&mut spis, now).is_err());
        assert!(spis.release(&SaKey {
            protocol: Protocol::Esp,
            spi: a,
            dst
        }));
        assert_eq!(reserve(&mut spis, now), Ok(a));
        assert!(reserve(&mut spis, now + RESERVED_FOR).is_ok());
    }

    #[test]
    fn numbers_that_are_reserved_or_taken_are_not_given_out() {
        let (mut spis, now) = (Spis::default(), Instant::now());
        let dst = "2001:db8::1".parse().unwrap();
        for _ in 0..8 {
            let spi = spis.reserve(Protocol::Ah, dst, 0..=263, now, |key| key.spi < 260);
            assert!(spi.is_err() || (260..=263).contains(&spi.unwrap()));
        }
        let none = spis
            .reserve(Protocol::Ah, dst, 0..=255, now, |_| false)
            .unwrap_err();
        assert!(none.to_string().contains("spi_min"), "{none}");
    }
}
