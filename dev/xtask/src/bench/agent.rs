//! What an agent alone costs its machine: memory, with nothing to do.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::lab::Lab;
use super::process::{Server, await_some, footprint, output};
use super::row::{Better, Goal, Row, Series};

const MB: f64 = 1_000_000.0;
const SETTLING: Duration = Duration::from_secs(10);

pub(crate) fn run(lab: &Lab) -> anyhow::Result<Vec<Row>> {
    let directory = lab.scratch().join("agent");
    std::fs::create_dir(&directory)?;
    // Another file for the server: pages of the program are not shared, as on a machine of the agent's own.
    let (program, other) = (lab.kogge()?, directory.join("kogge"));
    std::fs::copy(&program, &other)?;
    let (server_data, agent_data) = (directory.join("server"), directory.join("member"));
    let mut serve = Command::new(&other);
    serve.args(["server", "--doors", "ephemeral"]).env("KOGGE_DATA", &server_data).env_remove("KOGGE_API");
    let talk = directory.join("server.talk");
    let mut server = Server::start(&mut serve, &talk)?;
    let doors = await_some("the server", || {
        server.must_live(&talk)?;
        let text = std::fs::read(server_data.join("doors.json")).unwrap_or_default();
        Ok(serde_json::from_slice::<Value>(&text).ok())
    })?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let client = |words: &[&str]| -> anyhow::Result<Value> {
        let mut command = Command::new(&other);
        command.args(words).args(["--output", "json"]).env("KOGGE_API", text(&doors["api"]));
        Ok(serde_json::from_str(&output(&mut command)?)?)
    };
    let token = text(&client(&["node", "token"])?["token"]);
    let mut join = Command::new(&program);
    join.args(["join", &text(&doors["agents"]), "--doors", "ephemeral", "--name", "alone"]);
    join.env("KOGGE_DATA", &agent_data).env("KOGGE_TOKEN", token).env_remove("KOGGE_API");
    let talk = directory.join("agent.talk");
    let mut agent = Server::start(&mut join, &talk)?;
    await_some("the agent", || {
        agent.must_live(&talk)?;
        let nodes = client(&["node", "list"])?;
        let mut nodes = nodes.as_array().into_iter().flatten();
        Ok(nodes.find(|node| node["role"] == "agent" && node["state"] == "ready").map(drop))
    })?;
    std::thread::sleep(SETTLING);
    let used = footprint(&[agent.pid()]);
    drop(agent);
    let mut leave = Command::new(&program);
    leave.arg("leave").env("KOGGE_DATA", &agent_data).env_remove("KOGGE_API");
    output(&mut leave)?;
    let one = |value: f64| -> Series { [value].into_iter().collect() };
    let row = |name, value| Row::new(name, "MB", Better::Lower, one(value));
    Ok(vec![
        row("agent: PSS of an agent alone", used.pss / MB).goal(Goal::AtMost(15.0)),
        row("agent: private memory", used.private / MB),
    ])
}
