//! Faults of an input: all of them at once, each with its field and rule.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fault {
    /// Path of the field: `template.health.interval`.
    pub field: String,
    /// The rule it breaks, and the value that does.
    pub rule: String,
}

/// Gathers faults while checking.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Notes a fault of `field` when `is_ok` is false.
    pub fn check(&mut self, is_ok: bool, field: impl Into<String>, rule: impl FnOnce() -> String) {
        if !is_ok {
            self.0.push(Fault { field: field.into(), rule: rule() });
        }
    }

    /// `value` if nothing was found.
    ///
    /// # Errors
    /// The faults, when there are any.
    pub fn finish<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> =
            self.0.iter().map(|fault| format!("{}: {}", fault.field, fault.rule)).collect();
        f.write_str(&lines.join("; "))
    }
}

impl std::error::Error for Faults {}
