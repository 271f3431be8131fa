//! `/metrics` for Prometheus (text format 0.0.4) and `/healthz` for whoever watches the process.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header;
use kogge_model::view::{ServiceView, StatusView};

use crate::problem::Refused;
use crate::router::Api;

pub(crate) fn router(api: Api) -> Router {
    Router::new().route("/metrics", get(metrics)).route("/healthz", get(healthz)).with_state(api)
}

async fn healthz(State(api): State<Api>) -> Result<&'static str, Refused> {
    api.handle.status().await?;
    Ok("ok\n")
}

async fn metrics(State(api): State<Api>) -> Result<Response, Refused> {
    let mut text = exposition(&api.handle.status().await?, &api.handle.services().await?);
    if let Some(count) = api.handle.mismatches() {
        let help = "Times that another server held a different state, since this one started";
        write_family(&mut text, "kogge_state_mismatches_total", "counter", help, &[(String::new(), count)]);
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

fn exposition(status: &StatusView, services: &[ServiceView]) -> String {
    let mut text = String::new();
    let plain = |value: u64| vec![(String::new(), value)];
    let per_service = |value: fn(&ServiceView) -> u32| {
        services
            .iter()
            .map(|view| (format!("{{service=\"{}\"}}", view.service), u64::from(value(view))))
            .collect::<Vec<_>>()
    };
    let build = vec![(format!("{{version=\"{}\"}}", status.version), 1)];
    family(&mut text, "kogge_build_info", "The program's version", &build);
    family(&mut text, "kogge_uptime_seconds", "Since the process started", &plain(status.uptime_s));
    family(&mut text, "kogge_agents", "Agents that are there", &plain(status.agents.into()));
    family(&mut text, "kogge_revision", "The newest revision of the tree", &plain(status.revision));
    family(&mut text, "kogge_service_instances", "Wished instances", &per_service(|view| view.instances));
    family(&mut text, "kogge_service_running", "Running instances", &per_service(|view| view.running));
    family(&mut text, "kogge_service_healthy", "Healthy instances", &per_service(|view| view.healthy));
    text
}

fn family(text: &mut String, name: &str, help: &str, samples: &[(String, u64)]) {
    write_family(text, name, "gauge", help, samples);
}

fn write_family(text: &mut String, name: &str, kind: &str, help: &str, samples: &[(String, u64)]) {
    let wrote = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    let wrote = samples
        .iter()
        .fold(wrote, |wrote, (labels, value)| wrote.and_then(|()| writeln!(text, "{name}{labels} {value}")));
    wrote.expect("a string takes every write");
}
