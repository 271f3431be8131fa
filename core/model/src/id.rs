//! Ids: distinct types, minted in one place each.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Takes the text as it is; whoever mints an id keeps it unique.
            #[must_use]
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(text.as_ref().into())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// One cluster's identity, made at its first start and never changed.
    ClusterId
}
text_id! {
    /// One agent, for as long as its data directory lives.
    AgentId
}
text_id! {
    /// One framework: `services`, `jobs`, or a foreign one.
    FrameworkId
}
text_id! {
    /// One launch of one thing on one agent; never reused, so it can name files and cgroups.
    ///
    /// Minted by the framework that launches; letters, digits, `-` and `.` only, at most 120 bytes.
    TaskId
}
text_id! {
    /// One change on its way from one revision to the next.
    DeploymentId
}
number_id! {
    /// Resources of one agent held for one framework for a short time; never reused.
    OfferId
}
number_id! {
    /// Strictly increasing over all launches of a cluster; minted by the kernel. Tells a launch from an echo of an
    /// older one, and fences single-copy tasks (`KOGGE_FENCE`).
    RunId
}
number_id! {
    /// Strictly increasing with each leader: an agent ignores words from a lower term.
    Term
}
number_id! {
    /// One immutable state of the desired tree, numbered from 1.
    RevisionId
}
number_id! {
    /// A version of a whole configuration; receivers only move forward.
    Generation
}
