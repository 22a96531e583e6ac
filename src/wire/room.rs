//! Room: how much is read of a body at a time.
//!
//! A fast sender is read in large pieces, which costs fewer system calls. But a piece stays in memory until its receiver
//! has taken it, and receivers may be slow on purpose: so only some bodies of a thread have large pieces at a time.

use std::cell::Cell;

/// Where every body begins.
pub const SMALLEST_PIECE: usize = 16 * 1024;
const LARGEST_PIECE: usize = 256 * 1024;

/// Bodies of one thread that may have large pieces: 4 MiB at most.
const LARGE_BODIES: usize = 16;

thread_local! {
    static LARGE: Cell<usize> = const { Cell::new(0) };
}

/// One body's pieces.
#[derive(Debug)]
pub enum Room {
    /// As at the beginning.
    Small,
    /// Grown.
    Large(Large),
}

/// A body that counts among those with large pieces.
#[derive(Debug)]
pub struct Large {
    size: usize,
}

impl Room {
    /// How much to read.
    pub fn size(&self) -> usize {
        match self {
            Room::Small => SMALLEST_PIECE,
            Room::Large(large) => large.size,
        }
    }

    /// The sender filled a piece: the next one may be twice as large.
    pub fn grow(&mut self) {
        match self {
            Room::Large(large) => large.size = (large.size * 2).min(LARGEST_PIECE),
            Room::Small if LARGE.get() < LARGE_BODIES => {
                LARGE.set(LARGE.get() + 1);
                *self = Room::Large(Large { size: SMALLEST_PIECE * 2 });
            }
            Room::Small => {}
        }
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        LARGE.set(LARGE.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_bodies_of_a_thread_grow() {
        let grown = |_| {
            let mut room = Room::Small;
            (0..10).for_each(|_| room.grow());
            room
        };
        let rooms: Vec<_> = (0..LARGE_BODIES + 1).map(grown).collect();
        assert_eq!(rooms[0].size(), LARGEST_PIECE);
        assert_eq!(rooms[LARGE_BODIES].size(), SMALLEST_PIECE);
        drop(rooms);
        assert_eq!(grown(0).size(), LARGEST_PIECE);
    }
}
