//! Request id: a name for each request, by which its traces are found again.

use std::cell::RefCell;
use std::rc::Rc;

const HEX: &[u8; 16] = b"0123456789abcdef";

thread_local! {
    /// Random bytes for the next ids: one system call for many requests.
    static STOCK: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
}

/// 128 random bits in hex.
pub fn fresh() -> Rc<str> {
    let bytes = STOCK.with_borrow_mut(|stock| stock.pop().unwrap_or_else(|| refill(stock)));
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    std::str::from_utf8(&text).expect("hex is ASCII").into()
}

fn refill(stock: &mut Vec<[u8; 16]>) -> [u8; 16] {
    let mut random = [[0; 16]; 64];
    getrandom::fill(random.as_flattened_mut()).expect("the operating system has random numbers");
    stock.extend_from_slice(&random[1..]);
    random[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_hex_digits_and_differ() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| fresh()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| HEX.contains(&byte))));
    }
}
