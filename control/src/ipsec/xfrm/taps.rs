//! What Linux does with packets of the taps: nothing of IPsec, which lcores do.

use std::fs;
use std::io;

/// Has Linux send IPv4 packets to a tap in clear, whose lcores seal them, and take packets of a tap as they
/// are: lcores have opened them, and asked the policies.
///
/// For IPv6 there is no setting for packets that leave.
pub(super) fn leave_to_lcores(tap: &str) -> io::Result<()> {
    for (family, setting) in [
        ("ipv4", "disable_xfrm"),
        ("ipv4", "disable_policy"),
        ("ipv6", "disable_policy"),
    ] {
        let path = format!("/proc/sys/net/{family}/conf/{tap}/{setting}");
        match fs::write(&path, "1") {
            // A kernel without IPv6.
            Err(e) if e.kind() == io::ErrorKind::NotFound && family == "ipv6" => {}
            Err(e) => return Err(io::Error::new(e.kind(), format!("{path}: {e}"))),
            Ok(()) => {}
        }
    }
    Ok(())
}
