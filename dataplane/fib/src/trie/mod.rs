//! A compressed bitmap trie: a direct root, and below it nodes of 6 bits that keep each run of
//! equal slots once.
//!
//! Readers see an *image*: the root, an array of words, and blocks in one arena that is shared by
//! all tables. A word is a leaf or leads to a block; a leaf answers for all addresses below it, so
//! a lookup ends at the first leaf and never goes back. The writer alone has the *shadow*, a trie
//! with the same strides that also knows which prefix each leaf comes from, and publishes from it.
//! Root and blocks have another form with the number of routes (`grow`). See the README for the
//! protocol.

mod arena;
#[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
mod avx512;
mod bulk;
#[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
mod gather;
mod grow;
mod image;
mod key;
mod load;
mod lookup;
mod mend;
mod root;
mod routes;
mod shadow;
mod slabs;
mod update;
mod walk;
mod word;
mod words;

pub(crate) use arena::Arena;
pub use bulk::{BURST, LookupPath};
pub use key::Address;
pub(crate) use lookup::{RootHandle, Trie};
pub(crate) use update::{Edit, Memory, TrieWriter};
pub use walk::{Run, Runs};
