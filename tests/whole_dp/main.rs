//! The whole data plane in one process: frames in, exact frames out, every counter.
//!
//! One file a feature. `all_reasons.rs` holds that every drop and punt reason is the subject of a
//! test here; `malformed.rs` that every malformed frame gets what its RFC asks for.

mod forward;
