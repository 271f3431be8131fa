//! Bodies and queries, refused with problem documents that name the field.

use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::header;
use http::request::Parts;
use kogge_model::fault::Fault;
use serde::de::DeserializeOwned;

use crate::problem::Refused;

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

/// A query.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        // A form of a foreign page cannot send this type without asking first.
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Refused::media_type("the body must be application/json"));
        }
        let read = Bytes::from_request(request, state).await;
        let body = read.map_err(|rejection| match rejection.status().as_u16() {
            413 => Refused::too_large("the body is longer than 1 MiB"),
            _ => Refused::malformed("the body broke off"),
        })?;
        parse(&body).map(Json)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        let error = error.into_inner();
        if error.is_data() {
            let rule = error.to_string();
            // Where in the text the fault stands says nothing to who reads the field's path.
            let rule = rule.split(" at line ").next().unwrap_or(&rule).to_owned();
            Refused::invalid(vec![Fault { field, rule }])
        } else {
            Refused::malformed(format!("the body is not JSON: {error}"))
        }
    })?;
    json.end().map_err(|error| Refused::malformed(format!("the body is not JSON: {error}")))?;
    Ok(parsed)
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refused> {
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|rejection| {
            Refused::malformed(format!("the query cannot be read: {}", rejection.body_text()))
        })
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::view::DeployRequest;

    use super::*;

    fn check(body: &str, status: u16, field: &str) {
        let problem = parse::<DeployRequest>(body.as_bytes()).unwrap_err().problem();
        let found = problem.faults.first().map(|fault| fault.field.as_str()).unwrap_or_default();
        assert_eq!((problem.status, found), (status, field), "{problem:?}");
    }

    #[test]
    fn malformed_bodies_are_told_from_wrong_ones() {
        check("", 400, "");
        check("{", 400, "");
        check("{} {}", 400, "");
        check(r#"{"instances": "two"}"#, 422, "instances");
        check(r#"{"health": {"check": 7}}"#, 422, "health.check");
        check(r#"{"imagee": "x"}"#, 422, "imagee");
        assert!(parse::<DeployRequest>(b" {} ").is_ok());
    }
}
