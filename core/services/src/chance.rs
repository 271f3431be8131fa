//! Chance from a seed: one generator for each purpose, so that one more draw here shifts nothing there.

use std::time::Duration;

use kogge_model::name::ServiceId;
use kogge_model::port::{Port, PortSet};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// The longest label in a task id, which may have 120 bytes.
const LABEL_LIMIT: usize = 96;

/// The generators of [`crate::Services`].
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    task_ids: ChaCha8Rng,
    jitter: ChaCha8Rng,
    ports: ChaCha8Rng,
}

impl Chance {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let stream = |number| {
            let mut rng = ChaCha8Rng::from_seed(seed);
            rng.set_stream(number);
            rng
        };
        Self { task_ids: stream(1), jitter: stream(2), ports: stream(3) }
    }

    /// `label.number-` and eight of RFC 4648's base 32 letters, in lower case. The label is [`task_label`]'s.
    pub(crate) fn task_id(&mut self, label: &str, number: u32) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut bits = self.task_ids.next_u64();
        let mut id = String::with_capacity(label.len() + 20);
        id.push_str(label);
        id.push('.');
        id.push_str(&number.to_string());
        id.push('-');
        for _ in 0..8 {
            id.push(char::from(LETTERS[usize::from(bits.to_le_bytes()[0] % 32)]));
            bits >>= 5;
        }
        id
    }

    /// `delay` made up to `permille` thousandths longer or shorter, so that many instances do not start in step.
    pub(crate) fn jitter(&mut self, delay: Duration, permille: u32) -> Duration {
        let permille = permille.min(1_000);
        let offset = self.jitter.next_u32() % (2 * permille + 1);
        delay * (1_000 - permille + offset) / 1_000
    }

    /// Where to begin with the ports of an agent that none were taken of yet.
    pub(crate) fn port_of(&mut self, free: &PortSet) -> Option<Port> {
        let index = self.ports.next_u32().checked_rem(free.len())?;
        free.nth(index)
    }
}

/// What the ids of a service's tasks begin with.
pub(crate) fn task_label(service: &ServiceId) -> String {
    let mut label = service.label();
    label.truncate(LABEL_LIMIT);
    label
}

/// Label and number out of the id of a task that is not on record.
pub(crate) fn parse_task_id(task: &str) -> Option<(&str, u32)> {
    let (instance, chance) = task.rsplit_once('-')?;
    let (label, number) = instance.rsplit_once('.')?;
    (chance.len() == 8).then_some(())?;
    Some((label, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_ids_tell_their_instance_and_fit_into_file_names() {
        let mut chance = Chance::new([1; 32]);
        let label = task_label(&"shop/worker".parse().unwrap());
        let id = chance.task_id(&label, 3);
        assert_eq!(parse_task_id(&id), Some(("shop-worker", 3)));
        assert_ne!(id, chance.task_id(&label, 3));
        let long = task_label(&format!("{}/{}", "a".repeat(63), "b".repeat(63)).parse().unwrap());
        assert!(chance.task_id(&long, 10_000).len() <= 120);
        assert_eq!(parse_task_id("something-else"), None);
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let mut chance = Chance::new([1; 32]);
        let waits: Vec<u128> =
            (0..200).map(|_| chance.jitter(Duration::from_secs(1), 200).as_millis()).collect();
        assert!(waits.iter().all(|wait| (800..=1_200).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < 850) && waits.iter().any(|wait| *wait > 1_150));
    }
}
