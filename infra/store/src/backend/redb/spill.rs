//! What the data file would hold if there were space: over it, in memory only.
//!
//! The log makes groups durable, so the data file may fall behind it. When the disk is full that is how reads and
//! the groups already acknowledged go on: from the first call that finds no space the file on the disk is left as
//! it is, and everything written later stays here, as little as goes between two checkpoints. Nothing of it counts
//! as durable. Once there is space again, the file is opened anew and does again what the log says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const BLOCK: u64 = 4096;
const BLOCK_BYTES: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct Spill {
    /// The length that the file would have.
    len: u64,
    /// What of the file on the disk still shows.
    base_len: u64,
    /// Blocks written since, by their number.
    blocks: BTreeMap<u64, Box<[u8; BLOCK_BYTES]>>,
}

impl Spill {
    /// Shows what the file holds.
    pub(super) const fn over(file_len: u64) -> Self {
        Self { len: file_len, base_len: file_len, blocks: BTreeMap::new() }
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.base_len = self.base_len.min(len);
            self.blocks.split_off(&len.div_ceil(BLOCK));
            if let Some(last) = self.blocks.get_mut(&(len / BLOCK)) {
                last[within(len)..].fill(0);
            }
        }
        self.len = len;
    }

    pub(super) fn read(&self, file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(length(out)).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_base(file, offset, out)?;
        for (number, within, part) in parts(offset, out.len()) {
            if let Some(block) = self.blocks.get(&number) {
                let len = part.len();
                out[part].copy_from_slice(&block[within..within + len]);
            }
        }
        Ok(())
    }

    pub(super) fn write(&mut self, file: &File, offset: u64, data: &[u8]) -> io::Result<()> {
        for (number, within, part) in parts(offset, data.len()) {
            if !self.blocks.contains_key(&number) {
                let mut block = Box::new([0; BLOCK_BYTES]);
                self.read_base(file, number * BLOCK, &mut block[..])?;
                self.blocks.insert(number, block);
            }
            let block = self.blocks.get_mut(&number).expect("it is there, or was just put there");
            block[within..within + part.len()].copy_from_slice(&data[part]);
        }
        self.len = self.len.max(offset + length(data));
        Ok(())
    }

    /// What the file shows there, and zeros behind it.
    fn read_base(&self, file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let shown = usize::try_from(self.base_len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (base, behind) = out.split_at_mut(shown.min(out.len()));
        file.read_exact_at(base, offset)?;
        behind.fill(0);
        Ok(())
    }
}

fn within(offset: u64) -> usize {
    usize::try_from(offset % BLOCK).expect("less than a block")
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("lengths fit")
}

/// Cuts a run of bytes where blocks begin: the number of the block, where in it, and which of the bytes.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + u64::try_from(done).expect("lengths fit");
        let (begin, within) = (done, within(at));
        done = len.min(begin + BLOCK_BYTES - within);
        Some((at / BLOCK, within, begin..done))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_over_a_file_reads_back_and_the_file_stays_as_it_was() {
        let file = tempfile::tempfile().unwrap();
        let mut expected: Vec<u8> = (0..10_000u32).map(|n| n.to_le_bytes()[0]).collect();
        file.write_all_at(&expected, 0).unwrap();
        let before = expected.clone();
        let mut spill = Spill::over(10_000);
        spill.set_len(20_000);
        expected.resize(20_000, 0);
        for (offset, len) in [(0, 320), (4000, 200), (4096, 4096), (9_990, 30), (12_288, 7000)] {
            let data = vec![0xee; len];
            spill.write(&file, u64::try_from(offset).unwrap(), &data).unwrap();
            expected[offset..offset + len].copy_from_slice(&data);
        }
        let mut all = vec![1; 20_000];
        spill.read(&file, 0, &mut all).unwrap();
        assert!(all == expected);
        let mut some = vec![1; 5000];
        spill.read(&file, 4090, &mut some).unwrap();
        assert!(some == expected[4090..9090]);
        assert!(spill.read(&file, 15_001, &mut some).is_err(), "behind the end");
        let mut on_disk = vec![0; 10_000];
        file.read_exact_at(&mut on_disk, 0).unwrap();
        assert!(on_disk == before && file.metadata().unwrap().len() == 10_000);
    }

    #[test]
    fn a_shortened_file_shows_zeros_when_it_grows_again() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 8192], 0).unwrap();
        let mut spill = Spill::over(8192);
        spill.write(&file, 4096, &[8; 4096]).unwrap();
        spill.set_len(5000);
        spill.set_len(8192);
        let mut all = vec![1; 8192];
        spill.read(&file, 0, &mut all).unwrap();
        assert!(all[..4096] == [7; 4096] && all[4096..5000] == [8; 904] && all[5000..] == [0; 3192]);
        spill.set_len(100);
        spill.set_len(8192);
        spill.read(&file, 0, &mut all).unwrap();
        assert!(all[..100] == [7; 100] && all[100..] == [0; 8092]);
    }
}
