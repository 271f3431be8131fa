//! The model's messages as bytes, in the version of a session.
//!
//! JSON, so that a field the other side does not know yet is skipped. Where a version differs, it differs here.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Turns messages into bytes and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Codec {
    /// The version agreed on. Version 1 is the model as it is.
    pub(crate) version: u32,
    /// The longest message, in bytes.
    pub(crate) max_bytes: usize,
}

/// Why a message does not travel.
#[derive(Debug, Error)]
pub(crate) enum CodecError {
    #[error("a message of {bytes} bytes is longer than {max_bytes}")]
    TooLong { bytes: usize, max_bytes: usize },
    #[error("a message of version {version} cannot be read")]
    Unreadable { version: u32, source: serde_json::Error },
}

impl Codec {
    pub(crate) fn encode(self, message: &impl Serialize) -> Result<bytes::Bytes, CodecError> {
        let bytes = serde_json::to_vec(message).expect("messages are plain data with text keys");
        if bytes.len() > self.max_bytes {
            return Err(CodecError::TooLong { bytes: bytes.len(), max_bytes: self.max_bytes });
        }
        Ok(bytes.into())
    }

    pub(crate) fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, CodecError> {
        serde_json::from_slice(bytes)
            .map_err(|source| CodecError::Unreadable { version: self.version, source })
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::id::{AgentId, ClusterId, Term};
    use kogge_model::link::{FromAgent, FromControl, ToAgent, ToControl};

    use super::*;

    const CODEC: Codec = Codec { version: 1, max_bytes: 1_000 };

    #[test]
    fn messages_come_out_as_they_went_in() {
        let order = FromControl { cluster: ClusterId::new("c"), term: Term(3), body: ToAgent::Registered };
        assert_eq!(CODEC.decode::<FromControl>(&CODEC.encode(&order).unwrap()).unwrap(), order);
        let report = FromAgent { agent: AgentId::new("a"), body: ToControl::Heartbeat };
        assert_eq!(CODEC.decode::<FromAgent>(&CODEC.encode(&report).unwrap()).unwrap(), report);
    }

    #[test]
    fn an_unknown_field_is_skipped_and_an_unknown_word_is_an_error() {
        let newer = br#"{"agent":"a","body":"Heartbeat","mood":"good"}"#;
        assert_eq!(CODEC.decode::<FromAgent>(newer).unwrap().body, ToControl::Heartbeat);
        assert!(CODEC.decode::<FromAgent>(br#"{"agent":"a","body":"Sing"}"#).is_err());
        let long = FromAgent { agent: AgentId::new("x".repeat(2_000)), body: ToControl::Heartbeat };
        assert!(matches!(CODEC.encode(&long), Err(CodecError::TooLong { .. })));
    }
}
