//! What a request carries.

use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde::Serialize;

/// A body as it is sent.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

/// A body before it is sent, perhaps more than once.
pub(crate) enum Payload {
    /// Bytes at hand.
    Whole(Option<&'static str>, Bytes),
    /// Bytes that are read while they are sent: gone once somebody began.
    Once(&'static str, Option<RequestBody>),
}

impl Payload {
    pub(crate) fn empty() -> Self {
        Self::Whole(None, Bytes::new())
    }

    pub(crate) fn json(value: &impl Serialize) -> Self {
        let json = serde_json::to_vec(value).expect("requests are plain data with text keys");
        Self::Whole(Some("application/json"), json.into())
    }

    pub(crate) fn stream(media_type: &'static str, body: RequestBody) -> Self {
        Self::Once(media_type, Some(body))
    }

    /// Its media type and itself; none if it is gone.
    pub(crate) fn take(&mut self) -> Option<(Option<&'static str>, RequestBody)> {
        match self {
            Self::Whole(media_type, bytes) => {
                let body = Full::new(bytes.clone()).map_err(|never| match never {}).boxed_unsync();
                Some((*media_type, body))
            }
            Self::Once(media_type, body) => body.take().map(|body| (Some(*media_type), body)),
        }
    }

    /// Whether it can be taken again.
    pub(crate) const fn is_repeatable(&self) -> bool {
        matches!(self, Self::Whole(..))
    }
}
