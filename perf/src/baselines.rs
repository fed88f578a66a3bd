//! DPDK's lookup libraries, as `dpdk-sys` hands them out with its feature `baselines`.
#![allow(unsafe_code)] // a C interface

use std::ffi::{CStr, CString, c_int};
use std::ptr::NonNull;

use dpdk_sys as ffi;

/// The libraries: name, IPv6, number.
pub const KINDS: [(&str, bool, u32); 6] = [
    ("rte_fib 2B", false, ffi::IL_BASE_FIB_2B),
    ("rte_fib 4B", false, ffi::IL_BASE_FIB_4B),
    ("rte_lpm", false, ffi::IL_BASE_LPM),
    ("rte_fib6 2B", true, ffi::IL_BASE_FIB6_2B),
    ("rte_fib6 4B", true, ffi::IL_BASE_FIB6_4B),
    ("rte_lpm6", true, ffi::IL_BASE_LPM6),
];

/// Starts EAL for memory alone; on huge pages if there are enough. Says whether it is.
pub fn start() -> Result<bool, String> {
    let start = |more: &[&str]| {
        let base = ["ironlane-perf", "--in-memory", "--no-pci", "--no-telemetry"];
        let limits = [
            "--log-level=error",
            "--force-max-simd-bitwidth=512",
            "-l",
            "0",
        ];
        let args: Vec<CString> = (base.iter().chain(&limits).chain(more))
            .map(|&arg| CString::new(arg).expect("no zeros"))
            .collect();
        let mut argv: Vec<_> = args.iter().map(|arg| arg.as_ptr().cast_mut()).collect();
        // SAFETY: as many strings as we say; EAL copies what it keeps.
        unsafe { ffi::rte_eal_init(argv.len() as c_int, argv.as_mut_ptr()) >= 0 }
    };
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    let free: u32 = free
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    let huge = free >= 950;
    let memory = if huge {
        ["-m", "1800"].as_slice()
    } else {
        &["-m", "1800", "--no-huge"]
    };
    match start(memory) {
        true => Ok(huge),
        false => Err("EAL does not start; DPDK's log says why".into()),
    }
}

/// One table of one library.
pub struct Baseline(NonNull<ffi::il_base>);

impl Baseline {
    /// An empty table; `None` if there is no memory for it.
    pub fn open(kind: u32, max_routes: u32) -> Option<Self> {
        // SAFETY: a kind of the list; EAL is started.
        NonNull::new(unsafe { ffi::il_base_open(kind as c_int, max_routes) }).map(Self)
    }

    /// Adds a route; false if it does not fit. IPv4 addresses are in the upper bits.
    pub fn add(&mut self, v6: bool, address: u128, len: u8, nexthop: u32) -> bool {
        let (ip4, ip6) = ((address >> 96) as u32, address.to_be_bytes());
        let address = if v6 {
            ip6.as_ptr().cast()
        } else {
            (&raw const ip4).cast()
        };
        // SAFETY: the address has as many bytes as the family says.
        unsafe { ffi::il_base_add(self.0.as_ptr(), address, len, nexthop) == 0 }
    }

    /// The lookup functions that this CPU has, by number.
    pub fn variants(&mut self) -> Vec<(c_int, String)> {
        let mut found = Vec::new();
        for which in 0.. {
            // SAFETY: the numbers up to the first that has no name.
            let name = unsafe { ffi::il_base_variant(self.0.as_ptr(), which) };
            if name.is_null() {
                break;
            }
            // SAFETY: a string that lives for ever.
            let name = unsafe { CStr::from_ptr(name) }
                .to_string_lossy()
                .into_owned();
            if self.select(which) {
                found.push((which, name));
            }
        }
        found
    }

    /// Takes a lookup function.
    pub fn select(&mut self, which: c_int) -> bool {
        // SAFETY: a number below that of the first without a name.
        unsafe { ffi::il_base_select(self.0.as_ptr(), which) == 0 }
    }

    /// The sum of the nexthops of IPv4 addresses in host order.
    pub fn sum4(&self, addresses: &[u32; 64]) -> u64 {
        // SAFETY: 64 addresses; the table is of this family, or the sum is of no use.
        unsafe { ffi::il_base_lookup(self.0.as_ptr(), addresses.as_ptr().cast(), 64) }
    }

    /// The sum of the nexthops of IPv6 addresses.
    pub fn sum6(&self, addresses: &[[u8; 16]; 64]) -> u64 {
        // SAFETY: as above.
        unsafe { ffi::il_base_lookup(self.0.as_ptr(), addresses.as_ptr().cast(), 64) }
    }
}

impl Drop for Baseline {
    fn drop(&mut self) {
        // SAFETY: opened by us, and used by nobody any more.
        unsafe { ffi::il_base_close(self.0.as_ptr()) };
    }
}
