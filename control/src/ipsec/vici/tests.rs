//! Messages of any kind, and sockets with anything behind them. With a real charon: `tests/vici.rs`.

mod messages;
mod sockets;
