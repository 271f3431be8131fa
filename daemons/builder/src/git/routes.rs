//! `/git/APP.git/…`: finds the repository, lets git answer.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{StatusCode, header};
use kogge_host::tasks::TaskGroup;
use kogge_model::name::{AppId, Name};

use crate::config::Config;
use crate::git::backend;
use crate::git::repository::Repository;
use crate::ports::Apps;

/// What a request needs.
#[derive(Clone)]
struct Door {
    config: Arc<Config>,
    apps: Arc<dyn Apps>,
    group: TaskGroup,
}

/// The routes of git over HTTP. Only the parts of the protocol are let through, no plain files.
pub(crate) fn routes(config: Arc<Config>, apps: Arc<dyn Apps>, group: TaskGroup) -> Router {
    let door = Door { config, apps, group };
    Router::new()
        .route("/git/{*path}", any(by_path))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(door)
}

async fn by_path(State(door): State<Door>, Path(path): Path<String>, request: Request) -> Response {
    let Some((app, rest)) = split(&path) else {
        return plain(StatusCode::NOT_FOUND, "the path of a repository is /git/APP.git".to_owned());
    };
    answer(door, app, rest.to_owned(), request).await
}

/// `APP.git/REST` or `ENVIRONMENT/APP.git/REST`.
fn split(path: &str) -> Option<(AppId, &str)> {
    let (repository, rest) = path.split_once(".git/")?;
    let app = match repository.split_once('/') {
        Some((environment, app)) => AppId { environment: environment.parse().ok()?, app: app.parse().ok()? },
        None => AppId::in_default(repository.parse::<Name>().ok()?),
    };
    Some((app, rest))
}

async fn answer(door: Door, app: AppId, rest: String, request: Request<Body>) -> Response {
    if !matches!(rest.as_str(), "info/refs" | "git-receive-pack" | "git-upload-pack") {
        return plain(StatusCode::NOT_FOUND, "only git's smart HTTP protocol is spoken here".to_owned());
    }
    match door.apps.exists(app.clone()).await {
        Ok(true) => {}
        Ok(false) => {
            return plain(
                StatusCode::NOT_FOUND,
                format!("there is no app {app}: make it with `kogge create {app}`"),
            );
        }
        Err(reason) => return plain(StatusCode::SERVICE_UNAVAILABLE, reason.text),
    }
    let repository = Repository::of(&door.config, &app);
    if let Err(error) = repository.ensure(&door.config).await {
        tracing::error!(%error, "a repository cannot be made");
        return plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    }
    match backend::answer(&door.config, &repository, &format!("/{rest}"), request, &door.group).await {
        Ok(response) => response,
        Err(error) => plain(StatusCode::BAD_GATEWAY, format!("git http-backend failed: {error}")),
    }
}

/// git shows bodies of this type to the person who pushes, line by line.
fn plain(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{text}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_lead_to_repositories() {
        let of = |path: &str| split(path).map(|(app, rest)| (app.path(), rest.to_owned()));
        assert_eq!(of("shop.git/info/refs"), Some(("/prod/shop".into(), "info/refs".into())));
        assert_eq!(
            of("dev/shop.git/git-receive-pack"),
            Some(("/dev/shop".into(), "git-receive-pack".into()))
        );
        for bad in
            ["shop/info/refs", "../shop.git/info/refs", "a/b/shop.git/HEAD", "%2e.git/HEAD", ".git/HEAD"]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
