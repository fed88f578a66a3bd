//! The plugin, built once for all tests of this process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where it is, or why it cannot be built on this machine. A plugin that does not compile is no such
/// reason: that panics.
pub fn built() -> Result<&'static Path, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref().map_err(String::clone)
}

fn build() -> Result<PathBuf, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/charon/build.sh");
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("charon");
    let ask = |argument: &str| Command::new(script).arg(argument).output().unwrap();
    let headers = ask("--headers");
    if !headers.status.success() {
        let text = String::from_utf8_lossy(&headers.stderr).replace('\n', "; ");
        return Err(format!("no headers of strongSwan: {text}"));
    }
    let made = ask(out.to_str().unwrap());
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(out.join("libstrongswan-kernel-ironlane.so"))
}
