//! What happens, as it happens (server-sent events, WHATWG HTML §9.2).

use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _};
use kogge_model::view::{EventView, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::lines::HEARTBEAT;
use crate::router::Api;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(listen))
}

/// Listen to what happens from now on; a reader that is too slow loses the oldest and is told so
#[utoipa::path(get, path = "/events", tag = "cloud", responses(
    (status = 200, description = "Server-sent events, each with a JSON value", body = EventView, content_type = "text/event-stream"),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
async fn listen(State(api): State<Api>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = api.handle.events().take_until(api.tasks.token().cancelled_owned());
    Sse::new(events.map(|view| Ok(event(&view)))).keep_alive(KeepAlive::new().interval(HEARTBEAT))
}

fn event(view: &EventView) -> Event {
    let json = serde_json::to_string(view).expect("an event is plain data with text keys");
    Event::default().event(view.kind.word()).id(view.sequence.to_string()).data(json)
}
