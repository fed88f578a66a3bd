//! The `ironlane` program.

fn main() {}
