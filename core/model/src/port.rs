//! Ports, and sets of them as ranges.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A TCP or UDP port, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Port(std::num::NonZeroU16);

impl Port {
    /// `None` for 0.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match std::num::NonZeroU16::new(number) {
            Some(port) => Some(Self(port)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of ports, kept as sorted, disjoint, non-adjacent inclusive ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PortSet(Vec<(u16, u16)>);

impl PortSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// All ports from `first` to `last`, both included.
    #[must_use]
    pub fn range(first: Port, last: Port) -> Self {
        if first <= last { Self(vec![(first.get(), last.get())]) } else { Self::new() }
    }

    /// How many ports are in the set.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.0.iter().map(|&(first, last)| u32::from(last - first) + 1).sum()
    }

    /// Whether no port is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `port` is in the set.
    #[must_use]
    pub fn contains(&self, port: Port) -> bool {
        let at = self.0.partition_point(|&(_, last)| last < port.get());
        self.0.get(at).is_some_and(|&(first, _)| first <= port.get())
    }

    /// Whether every port of `other` is in the set.
    #[must_use]
    pub fn contains_all(&self, other: &Self) -> bool {
        other.0.iter().all(|&(first, last)| {
            let at = self.0.partition_point(|&(_, own_last)| own_last < first);
            self.0.get(at).is_some_and(|&(own_first, own_last)| own_first <= first && last <= own_last)
        })
    }

    /// The lowest port of the set that is `number` or above.
    #[must_use]
    pub fn first_from(&self, number: u16) -> Option<Port> {
        let at = self.0.partition_point(|&(_, last)| last < number);
        self.0.get(at).and_then(|&(first, _)| Port::new(first.max(number)))
    }

    /// The port that has `index` lower ones in the set.
    #[must_use]
    pub fn nth(&self, index: u32) -> Option<Port> {
        let mut left = index;
        for &(first, last) in &self.0 {
            match u16::try_from(left).ok().filter(|left| *left <= last - first) {
                Some(left) => return Port::new(first + left),
                None => left -= u32::from(last - first) + 1,
            }
        }
        None
    }

    /// The ports in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Port> + '_ {
        self.0.iter().flat_map(|&(first, last)| first..=last).filter_map(Port::new)
    }

    /// Adds `port`; tells whether it was new.
    pub fn insert(&mut self, port: Port) -> bool {
        let number = port.get();
        if self.contains(port) {
            return false;
        }
        let at = self.0.partition_point(|&(_, last)| last < number);
        let joins_left = at > 0 && self.0[at - 1].1 + 1 == number;
        let joins_right = self.0.get(at).is_some_and(|&(first, _)| first - 1 == number);
        match (joins_left, joins_right) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = number,
            (false, true) => self.0[at].0 = number,
            (false, false) => self.0.insert(at, (number, number)),
        }
        true
    }

    /// Removes `port`; tells whether it was there.
    pub fn remove(&mut self, port: Port) -> bool {
        let number = port.get();
        let at = self.0.partition_point(|&(_, last)| last < number);
        let Some(&(first, last)) = self.0.get(at).filter(|&&(first, _)| first <= number) else {
            return false;
        };
        match (first == number, last == number) {
            (true, true) => {
                self.0.remove(at);
            }
            (true, false) => self.0[at].0 += 1,
            (false, true) => self.0[at].1 -= 1,
            (false, false) => {
                self.0[at].1 = number - 1;
                self.0.insert(at + 1, (number + 1, last));
            }
        }
        true
    }
}

impl FromIterator<Port> for PortSet {
    fn from_iter<I: IntoIterator<Item = Port>>(ports: I) -> Self {
        let mut set = Self::new();
        for port in ports {
            set.insert(port);
        }
        set
    }
}

/// As Mesos writes ranges: `[31000-31009,31020-31020]`.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges: Vec<String> = self.0.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        write!(f, "[{}]", ranges.join(","))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_set_of_numbers(steps in proptest::collection::vec((any::<bool>(), 1u16..40), 0..120)) {
            let (mut set, mut truth) = (PortSet::new(), BTreeSet::new());
            for (is_insert, number) in steps {
                let port = Port::new(number).unwrap();
                if is_insert {
                    prop_assert_eq!(set.insert(port), truth.insert(port));
                } else {
                    prop_assert_eq!(set.remove(port), truth.remove(&port));
                }
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), truth.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(set.len() as usize, truth.len());
                for probe in 0..41u16 {
                    let next = truth.iter().find(|port| port.get() >= probe).copied();
                    prop_assert_eq!(set.first_from(probe), next);
                    prop_assert_eq!(set.nth(probe.into()), truth.iter().nth(probe.into()).copied());
                }
                prop_assert!(set.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            }
        }
    }

    #[test]
    fn the_highest_port_is_no_exception() {
        let top = Port::new(u16::MAX).unwrap();
        let mut set = PortSet::range(Port::new(65_530).unwrap(), top);
        assert!(set.remove(top) && set.insert(top) && set.contains(top) && set.len() == 6);
        assert_eq!((set.first_from(u16::MAX), set.nth(5), set.nth(6)), (Some(top), Some(top), None));
    }
}
