//! Routing information base: what the kernel says, resolved into forwarding tables.
