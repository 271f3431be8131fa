//! Links so narrow that an image fills them for half a minute: what the cluster says gets through beside it, nothing is
//! given up, and no lease runs out.

use std::time::{Duration, Instant};

use serde_json::json;

use super::single_copy;
use super::{Row, linger, seconds};
use crate::campaign::{Miss, Stage, kogge};
use crate::cluster::{Fault, Role};
use crate::image;

pub(super) const ROW: Row =
    Row { name: "narrow-links", promises: "G1 G7 G9 G27", shape: super::as_planned, play, back: super::BACK };

const RATE: &str = "1mbit";
/// At that rate the better part of half a minute.
const BALLAST_BYTES: usize = 2 << 20;
/// Until all instances of the heavy image are up.
const GOAL: Duration = Duration::from_secs(90);
/// Between two writes that are acknowledged.
const WRITE: Duration = Duration::from_secs(2);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let copy = single_copy::deploy(stage)?;
    let tasks = stage.tasks()?;
    let archive = stage.bed.record().directory.join("heavy.tar");
    image::heavy_busybox(&archive, BALLAST_BYTES);
    kogge(&stage.bed, "s1", &["image", "load", &archive.to_string_lossy(), "--name", "heavy:1"])?;
    let agents = stage.names(Role::Agent);
    let rate = RATE.parse().map_err(Miss::new)?;
    for agent in &agents {
        stage.fault(agent, &Fault::Bandwidth(rate))?;
    }
    let heavy = json!({
        "name": "heavy", "image": "heavy:1", "command": "exec sleep 1000000", "instances": agents.len(),
        "constraints": ["unique:agent"], "cpu_millis": 50, "mem_bytes": 16 << 20
    });
    stage.post("/api/v1/deployments", &heavy)?;
    let (begin, mut worst, mut told) = (Instant::now(), Duration::ZERO, false);
    while !is_up(stage, agents.len(), &mut told)? {
        if begin.elapsed() > GOAL * stage.slack {
            return Err(Miss::new(format!("the heavy instances are not up after {:?}", begin.elapsed())));
        }
        worst = worst.max(stage.first_write(Instant::now(), WRITE)?);
        linger(Duration::from_millis(200));
    }
    let took = begin.elapsed();
    stage.untouched(&tasks)?;
    if !copy.process.is_alive() {
        return Err(Miss::new("the lease of a single copy ran out beside an image"));
    }
    if !told {
        return Err(Miss::new("nobody said that the image was being fetched"));
    }
    for agent in &agents {
        stage.fault(agent, &Fault::Heal)?;
    }
    for service in ["heavy", "ledger"] {
        stage.post("/api/v1/deployments", &json!({"name": service, "instances": 0}))?;
    }
    Ok(format!("heavy image at {RATE} up after {}, writes at worst after {}", seconds(took), seconds(worst)))
}

/// Whether all heavy instances are healthy; notes whether one says how far its image is.
fn is_up(stage: &Stage, count: usize, told: &mut bool) -> Result<bool, Miss> {
    let all = stage.ask("/api/v1/instances")?.body;
    let heavy: Vec<_> =
        all.as_array().into_iter().flatten().filter(|one| one["service"] == "heavy").collect();
    *told |= heavy.iter().any(|one| one["reason"].to_string().contains("are here"));
    Ok(heavy.iter().filter(|one| one["healthy"] == true).count() == count)
}
