//! Bodies as the plugin writes them, bodies as nobody should, and a whole connection.

mod bodies;
mod malformed;
mod session;
