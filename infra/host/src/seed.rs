//! Chance for the cores: a seed drawn once from the kernel, handed down as a value.

use std::io::Read;

/// 32 bytes from the kernel's generator.
///
/// # Errors
/// When `/dev/urandom` cannot be read, which no machine that can run containers should show.
pub fn draw() -> std::io::Result<[u8; 32]> {
    let mut seed = [0u8; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}
