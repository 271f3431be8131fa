//! Instances.

use axum::extract::State;
use axum::response::Json as Reply;
use kogge_model::fault::Fault;
use kogge_model::name::{AppId, ServiceId};
use kogge_model::view::{InstanceView, Problem};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use crate::extract::Query;
use crate::problem::Refused;
use crate::router::Api;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_instances))
}

/// Which instances.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only those of this app or service
    of: Option<String>,
    /// Tasks that are over, too, as far as they are remembered
    #[serde(default)]
    all: bool,
}

/// List instances
#[utoipa::path(get, path = "/instances", tag = "instances", params(Which), responses(
    (status = 200, description = "Instances, in order", body = Vec<InstanceView>),
    (status = 404, description = "There is no such app or service", body = Problem, content_type = "application/problem+json"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn list_instances(
    State(api): State<Api>,
    Query(Which { of, all }): Query<Which>,
) -> Answer<Vec<InstanceView>> {
    let of = of.map(|of| of.parse::<Of>()).transpose()?;
    if let Some(of) = &of {
        of.check(&api).await?;
    }
    let mut instances = api.handle.instances(all).await?;
    instances.retain(|view| of.as_ref().is_none_or(|of| of.has(view)));
    Ok(Reply(instances))
}

/// An app (named alone) or a service (`app/service`).
enum Of {
    App(AppId),
    Service(ServiceId),
}

impl std::str::FromStr for Of {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let app = text.parse().map(Self::App);
        app.or_else(|_| text.parse().map(Self::Service)).map_err(|error| {
            Refused::invalid(vec![Fault { field: "of".to_owned(), rule: error.to_string() }])
        })
    }
}

impl Of {
    async fn check(&self, api: &Api) -> Result<(), Refused> {
        match self {
            Self::App(app) if api.handle.has_app(app.clone()).await? => Ok(()),
            Self::App(app) => {
                Err(Refused::not_found(format!("there is no app {app}")).with_hint("kogge apps"))
            }
            Self::Service(service) => Ok(api.handle.service(service.path()).await.map(|_| ())?),
        }
    }

    fn has(&self, view: &InstanceView) -> bool {
        let Ok(service) = view.service.parse::<ServiceId>() else { return false };
        match self {
            Self::App(app) => service.app == *app,
            Self::Service(wanted) => service == *wanted,
        }
    }
}
