//! Why a row does not pass.

use crate::cluster::BedError;

/// Why a row does not pass, in a sentence.
#[derive(Debug, thiserror::Error)]
pub enum Miss {
    /// The cluster did not do what is promised.
    #[error("{0}")]
    Broken(String),
    /// The test bed is not as it should be.
    #[error("{}", causes(.0))]
    Bed(#[from] BedError),
}

impl Miss {
    /// The cluster did not do what is promised.
    pub fn new(why: impl Into<String>) -> Self {
        Self::Broken(why.into())
    }
}

fn causes(error: &BedError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
