//! A declared route: host and path to service.

use kogge_model::name::ServiceId;
use kogge_model::service::RouteSpec;
use thiserror::Error;

use crate::host_pattern::{HostPattern, HostPatternError};
use crate::path_prefix::{PathPrefix, PathPrefixError};

/// Requests for these hosts and paths go to that service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// For which hosts.
    pub host: HostPattern,
    /// For which paths.
    pub path: PathPrefix,
    /// To whom.
    pub service: ServiceId,
}

/// Why a declared route cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RouteError {
    /// Its host.
    #[error(transparent)]
    Host(#[from] HostPatternError),
    /// Its path.
    #[error(transparent)]
    Path(#[from] PathPrefixError),
}

impl Route {
    /// The route a service declares in the tree.
    ///
    /// # Errors
    /// When its host or path is none.
    pub fn declared(service: &ServiceId, spec: &RouteSpec) -> Result<Self, RouteError> {
        let host = match &spec.host {
            Some(host) => host.parse()?,
            None => HostPattern::Any,
        };
        Ok(Self { host, path: spec.path.parse()?, service: service.clone() })
    }

    /// The route every service has without declaring one: all paths of `host`, such as `shop.localhost`.
    ///
    /// # Errors
    /// When `host` is none.
    pub fn whole_host(service: &ServiceId, host: &str) -> Result<Self, RouteError> {
        Ok(Self { host: host.parse()?, path: PathPrefix::root(), service: service.clone() })
    }
}
