//! What the writer knows about each node: whose its slots are, in runs, and what was published.

use std::collections::BTreeSet;
use std::ops::Range;

use super::key::FANOUT;
use super::word::Word;
use crate::NexthopIndex;

/// How many nodes a chunk has.
const CHUNK: usize = 64;

/// Whose a slot is, in one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner(u8);

impl Owner {
    /// No prefix covers the slot.
    pub(super) const NONE: Self = Self(0);
    /// The slot leads to a child.
    const CHILD: Self = Self(u8::MAX);

    /// The prefix of this length; longer ones are greater.
    pub(super) fn prefix(len: u32) -> Self {
        debug_assert!(len <= 128);
        Self(len as u8 + 1)
    }

    /// The length of the prefix; `None` if no prefix covers the slot, or a node is below it.
    pub(super) fn len(self) -> Option<u32> {
        (self != Self::CHILD).then(|| u32::from(self.0).checked_sub(1))?
    }
}

/// One slot: a leaf (20 bits) and its owner (8 bits above), or the number of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell(u32);

impl Cell {
    /// A slot that no prefix covers.
    pub(super) const NONE: Self = Self::leaf(NexthopIndex::NONE, Owner::NONE);

    /// Tells a child from a leaf.
    const CHILD: u32 = 1 << 31;

    pub(super) const fn leaf(nexthop: NexthopIndex, owner: Owner) -> Self {
        Self(nexthop.raw() | (owner.0 as u32) << NexthopIndex::LIMIT.trailing_zeros())
    }

    pub(super) fn child_of(number: u32) -> Self {
        debug_assert!(number < Self::CHILD);
        Self(number | Self::CHILD)
    }

    pub(super) fn child(self) -> Option<u32> {
        (self.0 & Self::CHILD != 0).then_some(self.0 & !Self::CHILD)
    }

    /// Whose the slot is.
    pub(super) fn owner(self) -> Owner {
        match self.child() {
            Some(_) => Owner::CHILD,
            None => Owner((self.0 >> NexthopIndex::LIMIT.trailing_zeros()) as u8),
        }
    }

    /// The leaf; meaningless for a child.
    pub(super) fn word(self) -> Word {
        Word::leaf(NexthopIndex::from_low_bits(self.0))
    }

    /// Whether a slot in a node with so many bits above says more than the slot above could.
    pub(super) fn is_own(self, above: u32) -> bool {
        self.owner() > Owner::prefix(above)
    }
}

/// One node: where runs of equal slots begin, and what they are.
pub(super) struct Shadow {
    starts: u64,
    /// What readers find where they are led to this node: a block, or a leaf if all slots answer
    /// the same. Meaningless while the root resolves this node's bits.
    pub(super) image: Word,
    /// Whether a block further up may have copies of words of this one's.
    pub(super) alone: bool,
    runs: Box<[Cell]>,
}

impl Shadow {
    fn new(cell: Cell) -> Self {
        Self {
            starts: 1,
            image: cell.word(),
            alone: false,
            runs: Box::new([cell]),
        }
    }

    pub(super) fn cell(&self, slot: usize) -> Cell {
        self.runs[(self.starts << (63 - slot)).count_ones() as usize - 1]
    }

    /// All slots, one by one.
    pub(super) fn cells(&self) -> [Cell; FANOUT] {
        let mut cells = [Cell::NONE; FANOUT];
        for (first, end, cell) in self.runs() {
            cells[first..end].fill(cell);
        }
        cells
    }

    /// The runs: first slot, the slot behind the last, what they are.
    pub(super) fn runs(&self) -> impl Iterator<Item = (usize, usize, Cell)> {
        let mut starts = self.starts;
        self.runs.iter().map(move |&cell| {
            let first = starts.trailing_zeros() as usize;
            starts &= starts - 1;
            (first, (starts.trailing_zeros() as usize).min(FANOUT), cell)
        })
    }

    /// What the runs are within a range of slots.
    pub(super) fn runs_in(
        &self,
        range: Range<usize>,
    ) -> impl Iterator<Item = (Range<usize>, Cell)> {
        let within = move |(first, end, cell): (usize, usize, Cell)| {
            (first.max(range.start)..end.min(range.end), cell)
        };
        self.runs()
            .map(within)
            .filter(|(slots, _)| !slots.is_empty())
    }

    /// Which slots of a range lead to a child: a bit for each.
    pub(super) fn parents(&self, range: Range<usize>) -> u64 {
        let leading = self
            .runs_in(range)
            .filter(|(_, cell)| cell.child().is_some());
        // No two slots lead to one child.
        leading.fold(0, |bits, (slots, _)| bits | 1 << slots.start)
    }

    fn set(&mut self, cells: &[Cell; FANOUT]) {
        let mut runs = Runs::new();
        for (slot, &cell) in cells.iter().enumerate() {
            runs.push(slot, cell);
        }
        self.take(&runs);
    }

    /// Gives the slots of a range what `to` makes of them. It meets runs, not slots: most nodes
    /// have few, and most changes are of a slot or two.
    fn change(&mut self, range: &Range<usize>, to: impl Fn(Cell) -> Cell) {
        let mut runs = Runs::new();
        let mut changed = false;
        for (first, end, cell) in self.runs() {
            let (from, till) = (first.max(range.start), end.min(range.end));
            if from >= till {
                runs.push(first, cell);
                continue;
            }
            let new = to(cell);
            changed |= new != cell;
            if first < from {
                runs.push(first, cell);
            }
            runs.push(from, new);
            if till < end {
                runs.push(till, cell);
            }
        }
        if changed {
            self.take(&runs);
        }
    }

    fn take(&mut self, runs: &Runs) {
        self.starts = runs.starts;
        let cells = &runs.cells[..runs.count];
        if self.runs.len() == cells.len() {
            self.runs.copy_from_slice(cells);
        } else {
            self.runs = cells.into();
        }
    }
}

/// Runs that are being put together, from the first slot on.
struct Runs {
    starts: u64,
    cells: [Cell; FANOUT],
    count: usize,
}

impl Runs {
    fn new() -> Self {
        Self {
            starts: 0,
            cells: [Cell::NONE; FANOUT],
            count: 0,
        }
    }

    /// The slots from this one on are this; the last run goes on if they are what it is.
    #[inline(always)]
    fn push(&mut self, slot: usize, cell: Cell) {
        if self.count == 0 || self.cells[(self.count - 1) % FANOUT] != cell {
            self.starts |= 1 << slot;
            self.cells[self.count % FANOUT] = cell;
            self.count += 1;
        }
    }
}

/// All nodes of all tables.
pub(super) struct Shadows {
    chunks: Vec<Option<Chunk>>,
    /// Chunks that have free nodes; the lowest is used first, so that high ones empty.
    roomy: BTreeSet<u32>,
    /// Numbers of chunks that do not exist, below `chunks.len()`.
    gaps: BTreeSet<u32>,
    cells: usize,
    used: usize,
}

struct Chunk {
    free: u64,
    nodes: Box<[Option<Shadow>; CHUNK]>,
}

impl Shadows {
    pub(super) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            roomy: BTreeSet::new(),
            gaps: BTreeSet::new(),
            cells: 0,
            used: 0,
        }
    }

    /// Makes a node whose slots are all the same, and returns its number.
    pub(super) fn add(&mut self, cell: Cell) -> u32 {
        let number = match self.roomy.first() {
            Some(&number) => number,
            None => self.add_chunk(),
        };
        let chunk = self.chunks[number as usize].as_mut().expect("it has room");
        let place = chunk.free.trailing_zeros();
        chunk.free &= chunk.free - 1;
        if chunk.free == 0 {
            self.roomy.remove(&number);
        }
        chunk.nodes[place as usize] = Some(Shadow::new(cell));
        self.cells += 1;
        self.used += 1;
        number * CHUNK as u32 + place
    }

    fn add_chunk(&mut self) -> u32 {
        let number = self.gaps.pop_first().unwrap_or_else(|| {
            self.chunks.push(None);
            self.chunks.len() as u32 - 1
        });
        self.chunks[number as usize] = Some(Chunk {
            free: u64::MAX,
            nodes: Box::new([const { None }; CHUNK]),
        });
        self.roomy.insert(number);
        number
    }

    pub(super) fn remove(&mut self, node: u32) {
        let number = node / CHUNK as u32;
        let chunk = self.chunks[number as usize].as_mut();
        let chunk = chunk.expect("the node exists");
        let removed = chunk.nodes[node as usize % CHUNK].take();
        self.cells -= removed.expect("the node exists").runs.len();
        self.used -= 1;
        chunk.free |= 1 << (node % CHUNK as u32);
        let empty = chunk.free == u64::MAX;
        self.roomy.insert(number);
        if self.used == 0 {
            *self = Self::new();
        } else if empty && self.roomy.len() > 1 {
            self.chunks[number as usize] = None;
            self.roomy.remove(&number);
            self.gaps.insert(number);
        }
    }

    pub(super) fn get(&self, node: u32) -> &Shadow {
        let chunk = self.chunks[node as usize / CHUNK].as_ref();
        let node = &chunk.expect("the node exists").nodes[node as usize % CHUNK];
        node.as_ref().expect("the node exists")
    }

    pub(super) fn get_mut(&mut self, node: u32) -> &mut Shadow {
        let chunk = self.chunks[node as usize / CHUNK].as_mut();
        let node = &mut chunk.expect("the node exists").nodes[node as usize % CHUNK];
        node.as_mut().expect("the node exists")
    }

    /// Says what the slots of a node are.
    pub(super) fn set(&mut self, node: u32, cells: &[Cell; FANOUT]) {
        let shadow = self.get_mut(node);
        let before = shadow.runs.len();
        shadow.set(cells);
        let after = shadow.runs.len();
        self.cells = self.cells + after - before;
    }

    /// Says what one slot of a node is.
    pub(super) fn set_slot(&mut self, node: u32, slot: usize, cell: Cell) {
        self.change(node, slot..slot + 1, |_| cell);
    }

    /// Gives the slots of a range of a node what `to` makes of them.
    pub(super) fn change(&mut self, node: u32, range: Range<usize>, to: impl Fn(Cell) -> Cell) {
        let shadow = self.get_mut(node);
        let before = shadow.runs.len();
        shadow.change(&range, to);
        let after = shadow.runs.len();
        self.cells = self.cells + after - before;
    }

    /// Bytes of all chunks and runs.
    pub(super) fn bytes(&self) -> usize {
        let chunks = self.chunks.len() - self.gaps.len();
        chunks * CHUNK * size_of::<Option<Shadow>>() + self.cells * size_of::<Cell>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_kept_in_runs() {
        let mut shadows = Shadows::new();
        let node = shadows.add(Cell::NONE);
        let one = Cell::leaf(NexthopIndex::from_low_bits(1), Owner::prefix(3));
        let same = Cell::leaf(NexthopIndex::from_low_bits(1), Owner::prefix(4));
        let mut cells = shadows.get(node).cells();
        cells[1..3].fill(one);
        cells[FANOUT - 1] = same;
        shadows.set(node, &cells);
        assert_eq!(shadows.get(node).cells(), cells);
        let runs: Vec<_> = shadows.get(node).runs().collect();
        assert_eq!(runs[1], (1, 3, one));
        assert_eq!(runs[runs.len() - 1], (FANOUT - 1, FANOUT, same));
        assert_eq!(shadows.get(node).cell(2), one);
        shadows.set_slot(node, 2, Cell::child_of(7));
        assert_eq!(shadows.get(node).cell(2).child(), Some(7));
        assert_eq!(shadows.get(node).cell(1), one);
    }

    #[test]
    fn a_change_of_a_range_is_that_of_its_slots() {
        let cell = |number| Cell::leaf(NexthopIndex::from_low_bits(number), Owner::prefix(3));
        let mut shadows = Shadows::new();
        let node = shadows.add(Cell::NONE);
        let mut cells = [Cell::NONE; FANOUT];
        // Any ranges, cut by a generator of numbers; few values, so that runs meet and part.
        let mut random = 1u32;
        for _ in 0..4000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let first = (random >> 8) as usize % FANOUT;
            let end = first + (random >> 16) as usize % (FANOUT - first) + 1;
            let (from, to) = (cell(random >> 24 & 1), cell(random >> 25 & 3));
            let new = |old| if old == from { old } else { to };
            shadows.change(node, first..end, new);
            cells[first..end]
                .iter_mut()
                .for_each(|cell| *cell = new(*cell));
            assert_eq!(shadows.get(node).cells(), cells);
            let begins = (1..FANOUT).filter(|&slot| cells[slot] != cells[slot - 1]);
            assert_eq!(shadows.get(node).runs().count(), 1 + begins.count());
            assert_eq!(shadows.cells, shadows.get(node).runs.len());
        }
    }

    #[test]
    fn slots_that_lead_on_are_told() {
        let mut shadows = Shadows::new();
        let node = shadows.add(Cell::NONE);
        // Models have small nodes.
        let last = FANOUT - 1;
        for slot in [1, 2, last] {
            shadows.set_slot(node, slot, Cell::child_of(slot as u32));
        }
        let parents = shadows.get(node).parents(0..FANOUT);
        assert_eq!(parents, 1 << 1 | 1 << 2 | 1 << last);
        assert_eq!(shadows.get(node).parents(2..last), 1 << 2);
    }

    #[test]
    fn chunks_come_back() {
        let mut shadows = Shadows::new();
        let nodes: Vec<u32> = (0..1000).map(|_| shadows.add(Cell::NONE)).collect();
        let full = shadows.bytes();
        nodes[500..].iter().for_each(|&node| shadows.remove(node));
        assert!(shadows.bytes() < full * 11 / 20);
        assert_eq!(shadows.add(Cell::NONE), 500, "the lowest is used first");
        nodes[..501].iter().for_each(|&node| shadows.remove(node));
        assert_eq!(shadows.bytes(), 0);
    }
}
