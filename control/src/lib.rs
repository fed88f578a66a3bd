//! The ironlane program: daemon and command line.
