//! The lead is handed over again and again, by order.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Row, seconds};
use crate::campaign::{Miss, Stage};

pub(super) const ROW: Row =
    Row { name: "step-down", promises: "G1 G7 G8", shape: super::as_planned, play, back: super::BACK };

const TIMES: usize = 5;
/// Until the first write is acknowledged.
const GOAL: Duration = Duration::from_secs(1);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let tasks = stage.tasks()?;
    let mut worst = Duration::ZERO;
    for _ in 0..TIMES {
        let leader = stage.leader()?;
        let asked = Instant::now();
        let answer = stage.ask_at(&leader, "/api/v1/leader/step-down", Some(&json!({})))?;
        if answer.status != 204 {
            return Err(Miss::new(format!("{leader} does not step down: {}", answer.detail())));
        }
        worst = worst.max(stage.first_write(asked, GOAL)?);
        stage.until("another one leads", GOAL * 10, |stage| {
            let now = stage.leader()?;
            if now == leader { Err(Miss::new(format!("{now} leads again"))) } else { Ok(()) }
        })?;
    }
    stage.untouched(&tasks)?;
    Ok(format!("first write at worst after {} in {TIMES} hand-overs", seconds(worst)))
}
