//! Which command does what.

use std::ffi::OsString;

use crate::args::{
    AgentArgs, Cli, Command, Global, JoinArgs, LeaveArgs, ServerArgs, ServerRunArgs, StateCommand, UpArgs,
};
use crate::command;
use crate::context::Context;
use crate::failure::Failure;

/// How a command ended, or what the binary has to do itself.
#[derive(Debug)]
pub enum Outcome {
    /// It is done; the process ends with this exit code.
    Exit(u8),
    /// Run the cloud in this process.
    Up(Box<UpArgs>, Global),
    /// Run a server in this process.
    Server(Box<ServerRunArgs>, Global),
    /// Become a part of a cloud, then run the agent.
    Join(Box<JoinArgs>, Global),
    /// End the agent of this machine and forget the cloud.
    Leave(Box<LeaveArgs>, Global),
    /// Run an agent in this process.
    Agent(Box<AgentArgs>, Global),
    /// Look after the state, with the engines at hand.
    State(Box<StateCommand>, Global),
    /// Supervise one task.
    Shim(Vec<OsString>),
}

/// Runs a command.
///
/// # Errors
/// When it does not do what was asked; see [`Failure`].
pub async fn run(cli: Cli) -> Result<Outcome, Failure> {
    let word = cli.command.word();
    dispatch(cli).await.map_err(|failure| failure.in_command(word))
}

async fn dispatch(cli: Cli) -> Result<Outcome, Failure> {
    let Cli { global, command } = cli;
    let mut context = Context::new(&global);
    let context = &mut context;
    match command {
        Command::Up(args) => return Ok(Outcome::Up(Box::new(args), global)),
        Command::Join(args) => return Ok(Outcome::Join(args, global)),
        Command::Leave(args) => return Ok(Outcome::Leave(Box::new(args), global)),
        Command::Agent(args) => return Ok(Outcome::Agent(args, global)),
        Command::Server(args) => match *args {
            ServerArgs { command: None, run } => return Ok(Outcome::Server(Box::new(run), global)),
            ServerArgs { command: Some(command), .. } => command::server::run(context, command).await,
        },
        Command::State(command) => return Ok(Outcome::State(Box::new(command), global)),
        Command::Shim { args } => return Ok(Outcome::Shim(args)),
        Command::Exec(args) => return Ok(Outcome::Exit(command::exec::run(context, &args).await?)),
        Command::Down(args) => command::down::run(context, &args).await,
        Command::Status => command::status::run(context).await,
        Command::Doors => command::doors::run(context).await,
        Command::Create(args) => command::create::run(context, &args).await,
        Command::Apps => command::apps::run(context).await,
        Command::Deploy(args) => command::deploy::run(context, &args).await,
        Command::Ps(args) => command::ps::run(context, &args).await,
        Command::Scale(args) => command::services::scale(context, args).await,
        Command::Restart(args) => command::services::restart(context, args).await,
        Command::Stop(args) => command::services::stop(context, args).await,
        Command::Destroy(args) => command::destroy::run(context, args).await,
        Command::Logs(args) => command::logs::run(context, args).await,
        Command::Why { name } => command::why::run(context, name).await,
        Command::Image(args) => command::image::run(context, args).await,
        Command::Node(command) => command::node::run(context, command).await,
        Command::Token(command) => command::token::run(context, command).await,
        Command::Ca => command::git::ca(context).await,
        Command::GitConfig => command::git::config(context).await,
        Command::GitCredential { operation } => command::git::credential(context, &operation),
        Command::Events => command::events::run(context).await,
        Command::Completion { shell } => command::completion::run(context, shell),
        Command::Man(args) => command::man::run(context, &args),
    }?;
    Ok(Outcome::Exit(0))
}
