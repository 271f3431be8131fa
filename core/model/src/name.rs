//! Names people give: the rule for one segment, and the path of a service in the tree.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The environment that is meant when none is named.
pub const DEFAULT_ENVIRONMENT: &str = "prod";
/// The service that is meant when only its app is named.
pub const DEFAULT_SERVICE: &str = "web";

/// One segment of a path: 1 to 63 of `a-z`, `0-9`, `-`, starting and ending with a letter or digit, so that it can
/// be a DNS label (RFC 1123 §2.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(std::sync::Arc<str>);

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{text:?} is not a name: use 1 to 63 of a-z, 0-9 and '-', starting and ending with a letter or digit"
)]
pub struct NameError {
    /// The text that was refused.
    pub text: String,
}

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let edge = |b: Option<u8>| b.is_some_and(|b| b != b'-');
        let bytes = text.as_bytes();
        let is_name = bytes.len() <= 63
            && bytes.iter().all(|&b| inner(b))
            && edge(bytes.first().copied())
            && edge(bytes.last().copied());
        if is_name { Ok(Self(text.into())) } else { Err(NameError { text: text.to_owned() }) }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An app within an environment: `/prod/shop`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppId {
    /// The top-level group.
    pub environment: Name,
    /// The app's name.
    pub app: Name,
}

/// A service within an app: `/prod/shop/web`, told to people as `shop`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceId {
    /// The app it belongs to.
    pub app: AppId,
    /// The service's own name.
    pub service: Name,
}

/// Why a text names no app, service or instance.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathError {
    /// A segment breaks the rule of names.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Too few or too many segments.
    #[error("{text:?} is not a path: use APP, APP/SERVICE or /ENVIRONMENT/APP/SERVICE")]
    Shape {
        /// The text that was refused.
        text: String,
    },
}

impl AppId {
    /// The app `app` in the default environment.
    ///
    /// # Panics
    /// Never: the default environment is a name.
    #[must_use]
    pub fn in_default(app: Name) -> Self {
        Self { environment: DEFAULT_ENVIRONMENT.parse().expect("the default environment is a name"), app }
    }

    /// The service `service` of this app.
    #[must_use]
    pub fn service(&self, service: Name) -> ServiceId {
        ServiceId { app: self.clone(), service }
    }

    /// The service that is meant when only the app is named.
    ///
    /// # Panics
    /// Never: the default service is a name.
    #[must_use]
    pub fn default_service(&self) -> ServiceId {
        self.service(DEFAULT_SERVICE.parse().expect("the default service is a name"))
    }

    /// The full path, `/prod/shop`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/{}/{}", self.environment, self.app)
    }
}

impl ServiceId {
    /// The full path, `/prod/shop/web`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.app.path(), self.service)
    }

    /// Its own label in host names and task ids: `shop` for the default service, else `shop-worker`.
    #[must_use]
    pub fn label(&self) -> String {
        if self.service.as_str() == DEFAULT_SERVICE {
            self.app.app.to_string()
        } else {
            format!("{}-{}", self.app.app, self.service)
        }
    }
}

/// Splits at `/`, refusing empty segments.
fn segments(text: &str) -> Result<Vec<Name>, PathError> {
    text.split('/').map(|part| part.parse().map_err(PathError::from)).collect()
}

impl FromStr for AppId {
    type Err = PathError;

    /// `APP` or `/ENVIRONMENT/APP`.
    fn from_str(text: &str) -> Result<Self, PathError> {
        let names = segments(text.strip_prefix('/').unwrap_or(text))?;
        match (text.starts_with('/'), <[Name; 2]>::try_from(names)) {
            (true, Ok([environment, app])) => Ok(Self { environment, app }),
            (false, Err(names)) if names.len() == 1 => Ok(Self::in_default(names[0].clone())),
            _ => Err(PathError::Shape { text: text.to_owned() }),
        }
    }
}

impl FromStr for ServiceId {
    type Err = PathError;

    /// `APP`, `APP/SERVICE` or `/ENVIRONMENT/APP/SERVICE`.
    fn from_str(text: &str) -> Result<Self, PathError> {
        let names = segments(text.strip_prefix('/').unwrap_or(text))?;
        match (text.starts_with('/'), names.as_slice()) {
            (true, [environment, app, service]) => {
                let app = AppId { environment: environment.clone(), app: app.clone() };
                Ok(app.service(service.clone()))
            }
            (true, [environment, app]) => {
                Ok(AppId { environment: environment.clone(), app: app.clone() }.default_service())
            }
            (false, [app]) => Ok(AppId::in_default(app.clone()).default_service()),
            (false, [app, service]) => Ok(AppId::in_default(app.clone()).service(service.clone())),
            _ => Err(PathError::Shape { text: text.to_owned() }),
        }
    }
}

/// Short where nothing is lost: the default environment and the default service are left out.
impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.environment.as_str() == DEFAULT_ENVIRONMENT {
            self.app.fmt(f)
        } else {
            write!(f, "/{}/{}", self.environment, self.app)
        }
    }
}

/// Short where nothing is lost: `shop`, `shop/worker`, `/stage/shop/web`.
impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_default_environment = self.app.environment.as_str() == DEFAULT_ENVIRONMENT;
        match (is_default_environment, self.service.as_str() == DEFAULT_SERVICE) {
            (true, true) => self.app.fmt(f),
            _ => write!(f, "{}/{}", self.app, self.service),
        }
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = PathError;

            fn try_from(text: String) -> Result<Self, PathError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.path()
            }
        }
    };
}
as_text!(AppId);
as_text!(ServiceId);

/// One running copy of a service: `shop.2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId {
    /// The service it is a copy of.
    pub service: ServiceId,
    /// Its number, from 1; the lowest free one is taken, so numbers return.
    pub number: u32,
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.number)
    }
}

impl FromStr for InstanceId {
    type Err = PathError;

    /// A service path, a dot and a number: `shop.2`, `shop/web.2`.
    fn from_str(text: &str) -> Result<Self, PathError> {
        let shape = || PathError::Shape { text: text.to_owned() };
        let (service, number) = text.rsplit_once('.').ok_or_else(shape)?;
        Ok(Self { service: service.parse()?, number: number.parse().map_err(|_| shape())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "web", "web-2", "0x", &"a".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "a/b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn services_are_told_short_and_kept_whole() {
        for (text, shown, path) in [
            ("shop", "shop", "/prod/shop/web"),
            ("shop/web", "shop", "/prod/shop/web"),
            ("shop/worker", "shop/worker", "/prod/shop/worker"),
            ("/stage/shop/web", "/stage/shop/web", "/stage/shop/web"),
            ("/stage/shop", "/stage/shop/web", "/stage/shop/web"),
        ] {
            let id: ServiceId = text.parse().unwrap();
            assert_eq!((id.to_string().as_str(), id.path().as_str()), (shown, path));
            assert_eq!(id.to_string().parse::<ServiceId>().unwrap(), id);
        }
        assert!("a/b/c".parse::<ServiceId>().is_err() && "//a".parse::<ServiceId>().is_err());
    }

    #[test]
    fn instances_are_a_service_and_a_number() {
        let id: InstanceId = "shop/worker.3".parse().unwrap();
        assert_eq!((id.number, id.to_string().as_str()), (3, "shop/worker.3"));
        assert!("shop".parse::<InstanceId>().is_err() && "shop.x".parse::<InstanceId>().is_err());
    }
}
