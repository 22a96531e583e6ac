//! Crowd: how many clients are connected, over all workers and from each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections.
#[derive(Debug, Default)]
pub struct Crowd {
    all: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place in the crowd, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    crowd: Arc<Crowd>,
    address: Option<IpAddr>,
}

impl Crowd {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes one in, unless there are `most` already, or `most_of_one` (0: no limit) from this address.
    pub fn enter(self: &Arc<Self>, address: Option<IpAddr>, most: usize, most_of_one: usize) -> Option<Seat> {
        let mut seat = Seat { crowd: self.clone(), address: None };
        if self.all.fetch_add(1, Ordering::Relaxed) >= most {
            return None;
        }
        if let Some(address) = address.filter(|_| most_of_one > 0) {
            let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let count = by_address.entry(address).or_insert(0);
            if *count >= most_of_one {
                drop(by_address);
                return None;
            }
            *count += 1;
            seat.address = Some(address);
        }
        Some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.all.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut by_address = self.crowd.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_enters_beyond_the_caps_and_places_come_back() {
        let (crowd, one) = (Arc::new(Crowd::default()), Some(IpAddr::from([127, 0, 0, 1])));
        let first = crowd.enter(one, 2, 1).expect("there is room");
        assert!(crowd.enter(one, 2, 1).is_none());
        assert_eq!(crowd.len(), 1);
        let second = crowd.enter(None, 2, 1).expect("there is room");
        assert!(crowd.enter(None, 2, 0).is_none());
        drop((first, second));
        assert!(crowd.is_empty());
        assert!(crowd.enter(one, 2, 1).is_some());
    }
}
