//! The id a request carries through: the client's if it is a sane one, else a new one.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest id that is taken over from a client.
const MAX_LEN: usize = 128;

/// Numbers that a thread takes at once, so that threads do not meet at every request.
const BLOCK: u64 = 1 << 16;

/// The next block of numbers of this process.
static NEXT_BLOCK: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The next number of this thread; a new block begins at multiples of its size.
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Mints ids: numbers of this process, scrambled with a secret so that ids of two routers do not meet and tell
/// nothing about traffic.
#[derive(Debug)]
pub(crate) struct RequestIds {
    secret: [u64; 2],
}

/// 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId([u8; 32]);

impl RequestIds {
    /// # Errors
    /// When the kernel gives no randomness.
    pub(crate) fn new() -> io::Result<Self> {
        let seed = kogge_host::seed::draw()?;
        let word = |at: usize| seed[at..at + 8].iter().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
        Ok(Self { secret: [word(0), word(8)] })
    }

    pub(crate) fn mint(&self) -> RequestId {
        let count = next_number();
        let mut text = [0; 32];
        for (half, secret) in text.chunks_exact_mut(16).zip(self.secret) {
            write_hex(scramble(count ^ secret), half);
        }
        RequestId(text)
    }
}

fn next_number() -> u64 {
    NEXT.with(|next| {
        let number = match next.get() {
            number if number % BLOCK == 0 => NEXT_BLOCK.fetch_add(1, Ordering::Relaxed).wrapping_mul(BLOCK),
            number => number,
        };
        next.set(number.wrapping_add(1));
        number
    })
}

impl RequestId {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A bijection that spreads every input bit over the word (the finalizer of MurmurHash3).
const fn scramble(mut word: u64) -> u64 {
    word ^= word >> 33;
    word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^= word >> 33;
    word = word.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}

fn write_hex(word: u64, into: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, digits) in word.to_be_bytes().into_iter().zip(into.chunks_exact_mut(2)) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Whether a client's id may be passed on: short and plain, so that it can stand in logs and pages.
pub(crate) fn is_sane(id: &[u8]) -> bool {
    let is_plain =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'=');
    (1..=MAX_LEN).contains(&id.len()) && id.iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_sane_themselves() {
        let ids = RequestIds::new().unwrap();
        let (one, two) = (ids.mint(), ids.mint());
        assert_ne!(one, two);
        assert!(is_sane(one.as_bytes()) && one.as_bytes().len() == 32);
        assert_ne!(RequestIds::new().unwrap().mint(), RequestIds::new().unwrap().mint());
    }

    #[test]
    fn what_could_forge_a_log_line_is_not_sane() {
        for id in [&b""[..], b"a b", b"a\"b", b"<b>", b"a;b", &[b'a'; 129]] {
            assert!(!is_sane(id), "{id:?}");
        }
    }
}
