//! The `ironlane` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ironlane_control::cli::main()
}
