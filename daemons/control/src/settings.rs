//! What a leader knows of itself, and the addresses that follow from it.

use kogge_model::caller::Origin;
use kogge_model::id::{ClusterId, Term};
use kogge_model::name::{AppId, DEFAULT_ENVIRONMENT, ServiceId};

use crate::config::Config;

/// What does not change while this server leads.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) cluster: ClusterId,
    pub(crate) term: Term,
    /// Whether it was founded by this server, which leads since then.
    pub(crate) is_founder: bool,
    pub(crate) config: Config,
}

impl Settings {
    /// Where an app is pushed to by somebody who came in that way.
    pub(crate) fn git_url(&self, app: &AppId, origin: Origin) -> String {
        let wide = self.config.api_tls_url.as_ref().filter(|_| origin == Origin::Token);
        let base = wide.unwrap_or(&self.config.api_url).trim_end_matches('/');
        if app.environment.as_str() == DEFAULT_ENVIRONMENT {
            format!("{base}/git/{}.git", app.app)
        } else {
            format!("{base}/git/{}/{}.git", app.environment, app.app)
        }
    }

    /// The host every routed service has.
    pub(crate) fn host(&self, service: &ServiceId) -> String {
        let (label, domain) = (service.label(), &self.config.domain);
        match service.app.environment.as_str() {
            DEFAULT_ENVIRONMENT => format!("{label}.{domain}"),
            environment => format!("{label}.{environment}.{domain}"),
        }
    }

    /// Where people find a host.
    pub(crate) fn url(&self, host: &str) -> String {
        match self.config.router_port {
            80 => format!("http://{host}/"),
            port => format!("http://{host}:{port}/"),
        }
    }
}
