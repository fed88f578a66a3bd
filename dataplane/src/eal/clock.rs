//! Time from the CPU's time stamp counter, which runs at one rate on all CPUs.

use dpdk_sys as c;

use super::Eal;

/// Ticks of the time stamp counter.
#[inline]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 CPU has the instruction.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: reads a counter.
    unsafe {
        c::il_rdtsc()
    }
}

/// Turns ticks into nanoseconds. Copies count from the same moment.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: u64,
    /// Nanoseconds of a tick, times 2^32.
    scale: u64,
    hz: u64,
}

impl Clock {
    /// A clock that starts now.
    pub fn start(_eal: Eal) -> Self {
        // SAFETY: EAL, which measured the rate, runs.
        let hz = unsafe { c::rte_get_tsc_hz() }.max(1);
        let scale = ((1_000_000_000u128 << 32) / u128::from(hz)) as u64;
        Self {
            base: ticks(),
            scale,
            hz,
        }
    }

    /// Nanoseconds since the clock started.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.at_ns(ticks())
    }

    /// Nanoseconds from the start of the clock to a moment after it, given in ticks.
    #[inline]
    pub fn at_ns(&self, ticks: u64) -> u64 {
        self.ns(ticks.wrapping_sub(self.base))
    }

    /// Nanoseconds that so many ticks last.
    #[inline]
    pub fn ns(&self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.scale)) >> 32) as u64
    }

    /// Ticks in so many microseconds.
    pub fn ticks_of_us(&self, us: u32) -> u64 {
        (u128::from(us) * u128::from(self.hz) / 1_000_000) as u64
    }

    /// Ticks in a second.
    pub fn hz(&self) -> u64 {
        self.hz
    }
}
