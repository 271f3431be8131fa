//! Task ids as file names.

use super::error::SnapshotError;

const MAX_BYTES: usize = 120;

/// Whether `id` can safely name a file.
///
/// # Errors
/// When it cannot.
pub fn check_task_id(id: &str) -> Result<(), SnapshotError> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if (1..=MAX_BYTES).contains(&id.len()) && !id.starts_with('.') && id.bytes().all(is_plain) {
        Ok(())
    } else {
        Err(SnapshotError::BadId { id: id.chars().take(200).collect() })
    }
}
