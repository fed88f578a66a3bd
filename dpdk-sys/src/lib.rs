//! Bindings to the installed DPDK, and C shims for its inline functions.
