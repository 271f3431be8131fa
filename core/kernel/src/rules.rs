//! What operators have said of an agent. It stands in the agent's record, so it outlives servers and agents.

use std::collections::BTreeMap;

use kogge_model::attribute::Attributes;
use kogge_model::reason::Reason;
use kogge_model::resources::{Bytes, CpuMillis, Resources};
use kogge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Attributes that say which agent it is; no label may say otherwise.
pub const FIXED_ATTRIBUTES: [&str; 3] = ["agent", "arch", "hostname"];

/// What holds for an agent because an operator said so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// It gets nothing new, and what runs there is to move elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// Attributes on top of those the agent tells of itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Attributes,
    /// Withheld from offers, on top of what the agent keeps for itself.
    #[serde(skip_serializing_if = "Resources::is_empty")]
    pub reserved: Resources,
}

/// An agent is being emptied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Since when.
    pub since: Timestamp,
    /// What for, in the operator's words.
    pub reason: Reason,
}

/// What an operator says of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// Give it nothing new, and have what runs there moved elsewhere.
    Drain(Reason),
    /// It may be used again.
    Undrain,
    /// Set these attributes; take those without a value away, so that the agent's own show again.
    Label(BTreeMap<String, Option<String>>),
    /// Withhold this from offers. Ports are not meant: an agent tells itself which it has.
    Reserve(Resources),
    /// Drop its record. Only an agent that is given up can be forgotten.
    Forget,
}

impl Rules {
    /// The attributes that count: the agent's own below the labels.
    #[must_use]
    pub fn attributes(&self, own: &Attributes) -> Attributes {
        let mut all = own.clone();
        all.extend(self.labels.clone());
        all
    }

    /// What can be offered of `whole`.
    #[must_use]
    pub fn offerable(&self, whole: &Resources) -> Resources {
        let reserved = &self.reserved;
        Resources {
            cpu_millis: CpuMillis(whole.cpu_millis.0.saturating_sub(reserved.cpu_millis.0)),
            mem_bytes: Bytes(whole.mem_bytes.0.saturating_sub(reserved.mem_bytes.0)),
            disk_bytes: Bytes(whole.disk_bytes.0.saturating_sub(reserved.disk_bytes.0)),
            ports: whole.ports.clone(),
        }
    }

    /// These rules after `instruction`.
    #[must_use]
    pub fn after(&self, now: Timestamp, instruction: &Instruction) -> Self {
        let mut rules = self.clone();
        match instruction {
            Instruction::Drain(reason) => {
                let since = rules.drain.as_ref().map_or(now, |drain| drain.since);
                rules.drain = Some(Drain { since, reason: reason.clone() });
            }
            Instruction::Undrain => rules.drain = None,
            Instruction::Label(labels) => {
                for (key, value) in labels.iter().filter(|(key, _)| !FIXED_ATTRIBUTES.contains(&key.as_str()))
                {
                    match value {
                        Some(value) => drop(rules.labels.insert(key.clone(), value.clone())),
                        None => drop(rules.labels.remove(key)),
                    }
                }
            }
            Instruction::Reserve(reserved) => {
                rules.reserved = Resources { ports: Default::default(), ..reserved.clone() };
            }
            Instruction::Forget => {}
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lie_over_what_the_agent_says_and_never_rename_it() {
        let own: Attributes =
            [("agent", "m1"), ("zone", "a")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let label = |key: &str, value: Option<&str>| {
            Instruction::Label([(key.to_owned(), value.map(str::to_owned))].into())
        };
        let rules = Rules::default();
        let rules = rules.after(Timestamp::ZERO, &label("zone", Some("b")));
        let rules = rules.after(Timestamp::ZERO, &label("agent", Some("m2")));
        assert_eq!((&*rules.attributes(&own)["zone"], &*rules.attributes(&own)["agent"]), ("b", "m1"));
        let rules = rules.after(Timestamp::ZERO, &label("zone", None));
        assert_eq!(rules.attributes(&own), own);
    }

    #[test]
    fn a_record_of_an_older_program_has_no_rules() {
        let rules: Rules = serde_json::from_str("{}").unwrap();
        assert_eq!(rules, Rules::default());
        assert_eq!(serde_json::to_string(&rules).unwrap(), "{}");
    }
}
