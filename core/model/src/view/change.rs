//! What a change of the tree did, or would do.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::deployment::DeploymentView;
use crate::service::ServiceSpec;

/// Answer to everything that changes the tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangeView {
    /// Whether this is only what would be done.
    pub is_plan: bool,
    /// What differs; empty when everything is already as asked.
    pub changes: Vec<FieldChange>,
    /// The revision that was made; none for a plan and when nothing changed.
    pub revision: Option<u64>,
    /// Deployments that were begun.
    pub deployments: Vec<DeploymentView>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldChange {
    /// Whose field: a service or app, told short.
    pub subject: String,
    /// The field's path: `template.image`, `instances`; empty for the whole.
    pub field: String,
    /// How it was; none when it is new.
    pub before: Option<String>,
    /// How it is then; none when it goes.
    pub after: Option<String>,
}

impl FieldChange {
    /// Everything that differs between two specs of one service, field by field.
    #[must_use]
    pub fn between(subject: &str, before: Option<&ServiceSpec>, after: Option<&ServiceSpec>) -> Vec<Self> {
        let (before, after) = (flat(before), flat(after));
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let changed = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
        changed
            .map(|key| Self {
                subject: subject.to_owned(),
                field: key.clone(),
                before: before.get(key).cloned(),
                after: after.get(key).cloned(),
            })
            .collect()
    }
}

/// Path → value of every leaf that says something.
fn flat(spec: Option<&ServiceSpec>) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    if let Some(spec) = spec {
        let value = serde_json::to_value(spec).expect("a spec is plain data with text keys");
        collect(String::new(), &value, &mut leaves);
    }
    leaves
}

fn collect(path: String, value: &Value, leaves: &mut BTreeMap<String, String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| collect(below(key), value, leaves));
        }
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let words: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            if !words.is_empty() {
                leaves.insert(path, words.join(" "));
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                collect(format!("{path}[{i}]"), item, leaves);
            }
        }
        Value::String(text) => {
            leaves.insert(path, text.clone());
        }
        Value::Bool(_) | Value::Number(_) => {
            leaves.insert(path, value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let before = ServiceSpec { instances: 1, ..ServiceSpec::default() };
        let mut after = ServiceSpec { instances: 2, ..before.clone() };
        after.template.env.insert("A".into(), "b".into());
        let changes = FieldChange::between("hello", Some(&before), Some(&after));
        let told: Vec<_> = changes
            .iter()
            .map(|change| (change.field.as_str(), change.before.as_deref(), change.after.as_deref()))
            .collect();
        assert_eq!(told, [("instances", Some("1"), Some("2")), ("template.env.A", None, Some("b"))]);
        assert!(FieldChange::between("hello", Some(&after), Some(&after)).is_empty());
    }
}
