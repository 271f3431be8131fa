//! All servers are killed, and come back after a while: tasks run and requests are answered without them.

use std::time::Duration;

use super::{Row, linger, seconds, takeover};
use crate::campaign::{Miss, Stage};
use crate::cluster::{Fault, Role};

pub(super) const ROW: Row =
    Row { name: "servers-down", promises: "G4 G7 G27", shape: super::as_planned, play, back: super::BACK };

/// Longer than agents are waited for.
const AWAY: Duration = Duration::from_secs(10);

fn play(stage: &mut Stage) -> Result<String, Miss> {
    let tasks = stage.tasks()?;
    let mut servers = stage.names(Role::Server);
    for server in &servers {
        stage.fault(server, &Fault::Kill { with_tasks: false })?;
    }
    linger(AWAY);
    tasks.alive()?;
    stage.dice.shuffle(&mut servers);
    let mut up = None;
    for server in &servers {
        up.get_or_insert(stage.fault(server, &Fault::Restart { program: None })?);
    }
    let up = up.ok_or_else(|| Miss::new("there is no server"))?;
    let took = stage.first_write(up, takeover(stage, super::BACK))?;
    stage.settle(super::BACK)?;
    stage.untouched(&tasks)?;
    Ok(format!("first write {} after {} was started first", seconds(took), servers[0]))
}
