//! The leader is cut off while a deployment is under way; another one finishes it, and the first one follows when it is
//! back.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage};
use crate::cluster::Fault;

pub(super) const ROW: Row = Row {
    name: "leader-isolated",
    promises: "G1 G8 G11 G27",
    shape: super::as_planned,
    play,
    back: super::BACK.saturating_add(GRACE),
};

/// The tasks pay no attention to SIGTERM: the last ones of the older version live for as long when the deployment is done.
const GRACE: Duration = Duration::from_secs(10);

/// Until the first write is acknowledged: nobody knows that it is dead.
const GOAL: Duration = Duration::from_secs(6);
/// Until the deployment is done, by another leader.
const DONE: Duration = Duration::from_secs(60);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let leader = stage.leader()?;
    stage.post("/api/v1/deployments", &json!({"name": "web", "env": {"VERSION": "2"}}))?;
    // Somewhere in its course.
    let into = stage.dice.span(Duration::from_millis(50), Duration::from_secs(2));
    linger(into);
    let cut = stage.fault(&leader, &Fault::Cut { direction: None, peer: None })?;
    let took = stage.first_write(cut, GOAL)?;
    let (_, done) = stage.until("the deployment is done", DONE, |stage| {
        let service = stage.ask_but(&leader, "/api/v1/services/web")?.body;
        let deployment: &Value = &service["deployment"];
        if deployment["state"] == "done" { Ok(()) } else { Err(Miss::new(deployment.to_string())) }
    })?;
    stage.fault(&leader, &Fault::Heal)?;
    Ok(format!(
        "cut off {} into it, first write after {}, done after {} more",
        seconds(into),
        seconds(took),
        seconds(done)
    ))
}
