//! How many connections there are, and whose.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections at once; more are closed at once.
const MAX_CONNECTIONS: usize = 2_048;
/// Of them, those from one address.
const MAX_FROM_ONE_ADDRESS: usize = 256;

/// Who is connected how often.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<BTreeMap<IpAddr, usize>>);

/// One connection; it is free again when this goes.
pub(crate) struct Place {
    places: Arc<Places>,
    of: IpAddr,
}

impl Places {
    pub(crate) fn take(places: &Arc<Self>, of: IpAddr) -> Option<Place> {
        let mut taken = places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        if all >= MAX_CONNECTIONS || taken.get(&of).is_some_and(|own| *own >= MAX_FROM_ONE_ADDRESS) {
            return None;
        }
        *taken.entry(of).or_default() += 1;
        Some(Place { places: Arc::clone(places), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.of) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places() {
        let places = Arc::default();
        let (greedy, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut taken: Vec<Place> =
            std::iter::from_fn(|| Places::take(&places, greedy)).take(9_999).collect();
        assert_eq!(taken.len(), MAX_FROM_ONE_ADDRESS);
        assert!(Places::take(&places, other).is_some());
        taken.pop();
        assert!(Places::take(&places, greedy).is_some(), "a place is free again");
        taken.clear();
        assert!(places.0.lock().unwrap().is_empty(), "nobody is remembered");
    }
}
