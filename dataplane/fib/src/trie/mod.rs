//! A multibit trie: 16 bits at the root, 8 in each node below, one word a slot.
//!
//! A slot is a leaf or leads to a node; a leaf answers for all addresses below it, so a lookup
//! ends at the first leaf and never goes back. A prefix whose length falls within a stride is
//! expanded to all slots that it covers. Updates store into slots that are in use, one word at a
//! time: since a lookup reads one leaf, it sees each address as it was before or as it is after.

mod key;
mod lookup;
mod node;
mod routes;
mod update;
mod walk;

pub use key::Address;
pub(crate) use lookup::Trie;
pub(crate) use node::{NodeAllocator, Nodes};
pub(crate) use update::{Edit, TrieWriter};
pub use walk::{Run, Runs};
