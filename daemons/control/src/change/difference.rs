//! What edits would change, field by field, for people to read before they agree.

use std::collections::{BTreeMap, BTreeSet};

use kogge_model::name::AppId;
use kogge_model::view::FieldChange;
use kogge_revisions::{Action, Edit, Subtree, TreePath};
use serde_json::Value;

use crate::cloud::Cloud;

/// Values of environment variables may be secrets: that they change is told, to what is not.
const HIDDEN: &str = "(hidden)";

/// The differences between what stands and what `edits` put there.
pub(crate) fn of(cloud: &Cloud, edits: &[Edit]) -> Vec<FieldChange> {
    edits.iter().flat_map(|edit| of_edit(cloud, edit)).collect()
}

fn of_edit(cloud: &Cloud, edit: &Edit) -> Vec<FieldChange> {
    let before = cloud.tree.digest(&edit.path).and_then(|digest| cloud.tree.subtree(&digest));
    let after = match &edit.action {
        Action::Put(subtree) => Some(subtree.clone()),
        Action::Remove => None,
        Action::Reset(revision) => {
            cloud.tree.digest_at(*revision, &edit.path).and_then(|digest| cloud.tree.subtree(&digest))
        }
        Action::SetMeta(_) => before.clone(),
    };
    let subject = short(&edit.path);
    match (before, after) {
        (None, None) => Vec::new(),
        (None, Some(after)) => vec![whole(subject, None, Some(describe(&after)))],
        (Some(before), None) => vec![whole(subject, Some(describe(&before)), None)],
        (Some(before), Some(after)) => fields(&subject, &before, &after),
    }
}

/// A path as people write it: apps and services of the default environment by their names alone.
fn short(path: &TreePath) -> String {
    let full = path.to_string();
    if let Some(service) = path.service_id() {
        return service.to_string();
    }
    full.parse::<AppId>().map_or(full, |app| app.to_string())
}

fn whole(subject: String, before: Option<String>, after: Option<String>) -> FieldChange {
    FieldChange { subject, field: String::new(), before, after }
}

fn describe(subtree: &Subtree) -> String {
    match subtree {
        Subtree::Group { children, .. } => {
            let names: Vec<String> = children.keys().map(ToString::to_string).collect();
            if names.is_empty() {
                "an empty group".to_owned()
            } else {
                format!("a group of {}", names.join(", "))
            }
        }
        Subtree::Service(spec) => {
            let what = spec
                .template
                .image
                .as_ref()
                .map_or_else(|| "a command".to_owned(), |image| image.name.clone());
            format!("{} × {what}", spec.wish())
        }
    }
}

fn fields(subject: &str, before: &Subtree, after: &Subtree) -> Vec<FieldChange> {
    let (before, after) = (flat(before), flat(after));
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    let shown = |path: &str, value: Option<&String>| {
        value.map(|value| if path.starts_with("template.env.") { HIDDEN.to_owned() } else { value.clone() })
    };
    let change = |path: &String| FieldChange {
        subject: subject.to_owned(),
        field: path.clone(),
        before: shown(path, before.get(path)),
        after: shown(path, after.get(path)),
    };
    changed.map(change).collect()
}

/// Every leaf with its path: `template.limits.pids` → `512`.
fn flat(subtree: &Subtree) -> BTreeMap<String, String> {
    let value = match subtree {
        Subtree::Service(spec) => serde_json::to_value(spec),
        Subtree::Group { .. } => serde_json::to_value(subtree),
    };
    let mut leaves = BTreeMap::new();
    gather(&value.expect("a subtree is plain data with text keys"), String::new(), &mut leaves);
    leaves
}

fn gather(value: &Value, path: String, leaves: &mut BTreeMap<String, String>) {
    let under = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| gather(value, under(key), leaves)),
        Value::Null => {}
        Value::String(text) => {
            leaves.insert(path, text.clone());
        }
        other => {
            leaves.insert(path, other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::service::ServiceSpec;

    use super::*;

    #[test]
    fn only_changed_fields_are_told_and_no_secret() {
        let mut spec = ServiceSpec { instances: 1, ..ServiceSpec::default() };
        let before = Subtree::service(spec.clone());
        spec.instances = 3;
        spec.template.env.insert("PASSWORD".into(), "hunter2".into());
        let changes = fields("shop", &before, &Subtree::service(spec));
        let told: Vec<_> =
            changes.iter().map(|c| (c.field.as_str(), c.before.as_deref(), c.after.as_deref())).collect();
        let expected =
            [("instances", Some("1"), Some("3")), ("template.env.PASSWORD", None, Some("(hidden)"))];
        assert_eq!(told, expected);
    }
}
