//! Where instances of one service are already: what `unique:` refuses and what is preferred.

use std::collections::{BTreeMap, BTreeSet};

use kogge_model::attribute::{Attributes, Constraint};
use kogge_model::id::AgentId;

use super::request::Request;

/// How many instances are near, for each `spread:` key; less is better.
pub(crate) type Crowding = Vec<u32>;

/// The instances of one service by agent and by the values of its `unique:` and `spread:` keys.
#[derive(Debug)]
pub(crate) struct Census<'a> {
    by_agent: BTreeMap<AgentId, u32>,
    unique: Vec<(&'a str, BTreeSet<String>)>,
    spread: Vec<(&'a str, BTreeMap<String, u32>)>,
}

impl<'a> Census<'a> {
    pub(crate) fn of(request: &Request<'a>) -> Self {
        let (mut unique, mut spread) = (Vec::new(), Vec::new());
        for constraint in request.constraints {
            match constraint {
                Constraint::Unique { key } => unique.push((key.as_str(), BTreeSet::new())),
                Constraint::Spread { key } => spread.push((key.as_str(), BTreeMap::new())),
                Constraint::Is { .. } | Constraint::IsNot { .. } => {}
            }
        }
        let mut census = Self { by_agent: BTreeMap::new(), unique, spread };
        for (agent, attributes) in &request.taken {
            census.add(agent, attributes);
        }
        census
    }

    /// Tells how many there are on the agent now.
    pub(crate) fn add(&mut self, agent: &AgentId, attributes: &Attributes) -> u32 {
        let on_agent = self.by_agent.entry(agent.clone()).or_default();
        *on_agent += 1;
        let on_agent = *on_agent;
        for (key, values) in &mut self.unique {
            if let Some(value) = attributes.get(*key) {
                values.insert(value.clone());
            }
        }
        for (key, values) in &mut self.spread {
            if let Some(value) = attributes.get(*key) {
                *values.entry(value.clone()).or_default() += 1;
            }
        }
        on_agent
    }

    /// The `unique:` key that keeps another instance away, if one does. An agent without the attribute has no value
    /// that could be unique.
    pub(crate) fn conflict(&self, attributes: &Attributes) -> Option<&'a str> {
        let is_taken = |key: &str, values: &BTreeSet<String>| {
            attributes.get(key).is_none_or(|value| values.contains(value))
        };
        self.unique.iter().find(|(key, values)| is_taken(key, values)).map(|(key, _)| *key)
    }

    /// How crowded it is where the `spread:` keys have these values. Without a value comes after all with one.
    pub(crate) fn crowding(&self, values: &[Option<String>]) -> Crowding {
        let counts = self.spread.iter().zip(values).map(|((_, counts), value)| match value {
            Some(value) => counts.get(value).copied().unwrap_or(0),
            None => u32::MAX,
        });
        counts.collect()
    }

    /// Instances on the agent itself.
    pub(crate) fn on_agent(&self, agent: &AgentId) -> u32 {
        self.by_agent.get(agent).copied().unwrap_or(0)
    }
}
