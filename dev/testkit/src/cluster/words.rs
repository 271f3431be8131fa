//! The words by which nodes of Kogge are started and asked: the one place that knows them.

use std::path::Path;

use super::{Launch, Node};

/// Where agents call servers.
pub const AGENTS_PORT: u16 = 7401;
/// Where agents route requests.
pub const ROUTER_PORT: u16 = 80;
/// Where people and programs call servers.
pub const API_PORT: u16 = 7400;

/// A server, for its first start and all others.
#[must_use]
pub fn server(program: &Path, node: &Node, state: &str) -> Launch {
    let address = node.address;
    let program = program.display().to_string();
    let data = node.data.display().to_string();
    Launch::new([
        program.as_str(),
        "server",
        "--data",
        &data,
        "--state",
        state,
        "--name",
        &node.name,
        "--api-bind",
        &format!("{address}:{API_PORT}"),
        "--agents-bind",
        &format!("{address}:{AGENTS_PORT}"),
        "--advertise",
        &address.to_string(),
    ])
}

/// An agent, for its first start: it joins and runs. The token is not seen among the words of the process.
#[must_use]
pub fn join(program: &Path, node: &Node, server: &Node, token: &str) -> Launch {
    let mut launch = agent(program, node);
    launch.words.splice(1..2, ["join".to_owned(), format!("{}:{AGENTS_PORT}", server.address)]);
    launch.with_env("KOGGE_TOKEN", token)
}

/// An agent that has joined.
#[must_use]
pub fn agent(program: &Path, node: &Node) -> Launch {
    let address = node.address;
    let program = program.display().to_string();
    let data = node.data.display().to_string();
    Launch::new([
        program.as_str(),
        "agent",
        "--data",
        &data,
        "--name",
        &node.name,
        "--advertise",
        &address.to_string(),
        "--router-bind",
        &format!("{address}:{ROUTER_PORT}"),
    ])
}

/// Asks a server for a token with which one agent joins: `{"token": …}`.
pub const TOKEN: &[&str] = &["node", "token", "--output", "json"];
/// Asks a server for a token of clients, which come from elsewhere: `{"secret": …}`.
pub const CLIENT_TOKEN: &[&str] = &["token", "create", "clients", "--output", "json"];
/// The door of a server at which clients from elsewhere knock.
pub const API_DOOR: &str = "api_tls";
/// Asks a server whether it serves.
pub const STATUS: &[&str] = &["status", "--output", "json"];
/// Asks a server for all servers and agents: a list with `name`, `role`, `state`.
pub const NODES: &[&str] = &["node", "list", "--output", "json"];
/// The state of a node that works.
pub const READY: &str = "ready";
/// The file in the data directory that names the doors.
pub const DOORS_FILE: &str = "doors.json";
/// Names the data directory to all commands.
pub const DATA: &str = "KOGGE_DATA";
/// Names the servers' APIs to clients: URLs parted by commas.
pub const API: &str = "KOGGE_API";
/// What opens the servers' doors to clients.
pub const ACCESS: &str = "KOGGE_TOKEN";
