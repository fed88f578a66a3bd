//! Finds DPDK by pkg-config, binds what Ironlane uses, compiles the shims.

use std::env;
use std::panic;
use std::path::PathBuf;
use std::process::{Command, exit};

/// The oldest DPDK that the project builds with (Debian bookworm's).
const OLDEST: &str = "22.11";

/// What to do when DPDK cannot be found or is too old.
const CURE: &str = "install the packages: apt-get install libdpdk-dev libclang-dev pkg-config (Debian 12 or later)";

/// The libraries whose functions are called. Those that a version lacks are left out: what they
/// hold then lives in another one of the list (`log` was a part of `eal` until 24.03).
const LIBRARIES: &[&str] = &[
    "rte_eal",
    "rte_log",
    "rte_ethdev",
    "rte_mempool",
    "rte_mbuf",
    "rte_ring",
    "rte_net_ring",
    "rte_cryptodev",
];

/// Crypto on the CPU that asks, without a device of DPDK between; it comes with DPDK, whose
/// own drivers are made of it.
const IPSEC_MB: &str = "IPSec_MB";

/// Those of the feature `baselines`.
const BASELINE_LIBRARIES: &[&str] = &["rte_fib", "rte_rib", "rte_lpm", "rte_hash"];

/// Functions bound; types and constants come along by use or by [`VARS`].
const FUNCTIONS: &[&str] = &[
    "il_.*",
    "rte_dev_(name|bus|numa_node|probe|remove)",
    "rte_bus_name",
    "rte_cryptodev_(close|name_get|stop)",
    "rte_eal_(init|cleanup|hotplug_add|hotplug_remove|has_hugepages|iova_mode)",
    "rte_eth_(allmulticast|promiscuous)_(enable|disable|get)",
    "rte_eth_dev_(adjust_nb_rx_tx_desc|close|configure|count_avail|get_mtu|get_name_by_port)",
    "rte_eth_dev_(get_port_by_name|info_get|is_valid_port|mac_addr_add|set_mtu|socket_id)",
    "rte_eth_dev_set_mc_addr_list",
    "rte_eth_dev_(set_link_down|set_link_up|start|stop|default_mac_addr_set)",
    "rte_eth_dev_rx_intr_(ctl_q_get_fd|disable|enable)",
    "rte_eth_find_next",
    "rte_eth_from_rings",
    "rte_eth_macaddr_get",
    "rte_eth_(rx|tx)_queue_setup",
    "rte_eth_stats_(get|reset)",
    "rte_log_(set_global_level|set_level_pattern|get_global_level)",
    "rte_mempool_(avail_count|in_use_count|free|lookup)",
    "rte_pktmbuf_(free_bulk|pool_create_by_ops)",
    "rte_ring_(create|free)",
    "rte_strerror",
    "rte_get_tsc_hz",
    "rte_thread_(register|unregister)",
    "rte_version",
];

const VARS: &[&str] = &[
    "IL_.*",
    "RING_F_(SP_ENQ|SC_DEQ)",
    "RTE_LOG_.*",
    "RTE_MAX_(ETHPORTS|LCORE)",
    "RTE_PKTMBUF_HEADROOM",
    "RTE_VER_(YEAR|MONTH)",
];

fn main() {
    println!("cargo:rerun-if-changed=shim.c");
    println!("cargo:rerun-if-changed=shim.h");
    println!("cargo:rerun-if-changed=baselines.c");
    println!("cargo:rerun-if-changed=baselines.h");
    println!("cargo:rerun-if-changed=crypto");
    let baselines = env::var_os("CARGO_FEATURE_BASELINES").is_some();

    let found = pkg_config::Config::new()
        .atleast_version(OLDEST)
        .cargo_metadata(false)
        .probe("libdpdk")
        .unwrap_or_else(|why| fail(&format!("no DPDK {OLDEST} or later: {}", brief(&why))));
    println!("cargo:version={}", found.version);

    link(&found, LIBRARIES);
    if baselines {
        link(&found, BASELINE_LIBRARIES);
    }
    let cflags = cflags();

    let mut shim = cc::Build::new();
    shim.file("shim.c").file("crypto/cryptodev.c");
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        shim.file("crypto/ipsec_mb.c")
            .file("crypto/ipsec_mb_session.c");
        println!("cargo:rustc-link-lib=dylib={IPSEC_MB}");
    } else {
        shim.file("crypto/ipsec_mb_none.c");
    }
    // Pools of sessions are experimental in 22.11 and the same ever since.
    shim.opt_level(3)
        .warnings(true)
        .define("ALLOW_EXPERIMENTAL_API", None);
    if baselines {
        // They are measured as DPDK's users have them, in release and debug builds alike.
        shim.file("baselines.c").file("crypto/baselines.c");
    }
    for flag in &cflags {
        shim.flag(flag);
    }
    shim.compile("ironlane_dpdk_shim");

    let mut bindings = bindgen::Builder::default()
        .allowlist_type("il_.*|rte_eth_dev_info|rte_eth_conf|rte_eth_stats|rte_ether_addr")
        .header("shim.h")
        .header("crypto/crypto.h")
        .clang_args(&cflags)
        .clang_arg("-DALLOW_EXPERIMENTAL_API")
        .use_core()
        .generate_comments(false)
        .prepend_enum_name(false)
        .blocklist_type("rte_mbuf")
        .opaque_type("rte_(mempool|ring|device|bus|eth_fdir_conf|eth_dcb.*|eth_vmdq.*)")
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()))
        .derive_default(true);
    if baselines {
        bindings = bindings.header("baselines.h").header("crypto/baselines.h");
    }
    for function in FUNCTIONS {
        bindings = bindings.allowlist_function(function);
    }
    for var in VARS {
        bindings = bindings.allowlist_var(var);
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_else(|| fail("OUT_DIR is not set")));
    // bindgen panics when libclang cannot be loaded.
    panic::catch_unwind(panic::AssertUnwindSafe(|| bindings.generate()))
        .unwrap_or_else(|_| fail("libclang, which reads the DPDK headers, cannot be loaded"))
        .unwrap_or_else(|why| fail(&format!("cannot read the DPDK headers: {why}")))
        .write_to_file(out.join("bindings.rs"))
        .unwrap_or_else(|why| fail(&format!("cannot write bindings.rs: {why}")));
}

/// Links those of the libraries that this DPDK has.
///
/// Drivers are not linked: EAL loads them from the directory that DPDK was built with. The one
/// exception is `net_ring`, whose function makes ports out of rings for tests; EAL then finds it
/// loaded already.
fn link(found: &pkg_config::Library, libraries: &[&str]) {
    for dir in &found.link_paths {
        println!("cargo:rustc-link-search=native={}", dir.display());
    }
    for library in libraries {
        let listed = found.libs.iter().any(|lib| lib == library);
        if listed || *library == "rte_net_ring" {
            println!("cargo:rustc-link-lib=dylib={library}");
        }
    }
}

/// The compiler flags of DPDK's headers: `-include rte_config.h` and `-march` among them, which
/// the pkg-config crate does not hand out.
fn cflags() -> Vec<String> {
    println!("cargo:rerun-if-env-changed=PKG_CONFIG");
    let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = Command::new(&program)
        .args(["--cflags", "libdpdk"])
        .output()
        .unwrap_or_else(|why| fail(&format!("cannot run {}: {why}", program.display())));
    if !output.status.success() {
        fail(&format!(
            "pkg-config --cflags libdpdk: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

fn brief(why: &pkg_config::Error) -> String {
    match why {
        pkg_config::Error::Command { cause, .. } => format!("pkg-config cannot be run ({cause})"),
        pkg_config::Error::ProbeFailure { output, .. } => {
            String::from_utf8_lossy(&output.stderr).trim().to_owned()
        }
        other => other.to_string(),
    }
}

fn fail(what: &str) -> ! {
    eprintln!("dpdk-sys: {what}\ndpdk-sys: {CURE}");
    exit(1);
}
