//! Environment variables of a task, kept in as little memory as they need: a leader holds those of a hundred thousand.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names with their values, in the order of the names, each name once. A map, for whoever reads or writes it as JSON.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Variables {
    /// Name, value, name, value, without anything in between.
    text: Box<str>,
    /// Where each of them ends.
    ends: Box<[u32]>,
}

impl Variables {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Each name with its value, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut from = 0;
        let mut next = move |end: u32| {
            let end = end as usize;
            let piece = &self.text[from..end];
            from = end;
            piece
        };
        self.ends.chunks_exact(2).map(move |ends| (next(ends[0]), next(ends[1])))
    }
}

impl FromIterator<(String, String)> for Variables {
    /// Of a name that comes twice the last value counts.
    ///
    /// # Panics
    /// At 4 GiB of text.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut pairs: Vec<(String, String)> = pairs.into_iter().collect();
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        pairs.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(later, earlier);
            }
            is_same
        });
        let mut text =
            String::with_capacity(pairs.iter().map(|(name, value)| name.len() + value.len()).sum());
        let mut ends = Vec::with_capacity(2 * pairs.len());
        for piece in pairs.iter().flat_map(|(name, value)| [name, value]) {
            text.push_str(piece);
            ends.push(u32::try_from(text.len()).expect("an environment has less than 4 GiB"));
        }
        Self { text: text.into(), ends: ends.into() }
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Variables {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Variables;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variables, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry::<String, String>()? {
                    pairs.push(pair);
                }
                Ok(pairs.into_iter().collect())
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_what_a_map_of_the_same_pairs_is(
            pairs in proptest::collection::vec(("[A-C]{0,2}", ".{0,4}"), 0..6),
        ) {
            let map: BTreeMap<String, String> = pairs.iter().cloned().collect();
            let variables: Variables = pairs.into_iter().collect();
            let expected: Vec<(&str, &str)> =
                map.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            prop_assert_eq!(variables.iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(variables.is_empty(), map.is_empty());
            let json = serde_json::to_string(&variables).unwrap();
            prop_assert_eq!(&json, &serde_json::to_string(&map).unwrap());
            prop_assert_eq!(serde_json::from_str::<Variables>(&json).unwrap(), variables);
        }
    }
}
