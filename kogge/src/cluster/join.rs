//! `kogge join`: this machine becomes a part of a cloud.

use std::io::Write as _;

use kogge_cli::{Failure, Format, Global, JoinArgs};
use kogge_host::tasks::TaskGroup;
use kogge_link::token::Token;
use kogge_link::{JoinWish, Joined, ServerAddress, Timing};

use super::agent;
use super::membership::{self, Membership, Settings};
use crate::process::Place;
use crate::told::{failure, hinted};

/// How long what joining started may take to end.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// Joins, then runs the agent unless that is not wanted.
pub(crate) fn run(args: &JoinArgs, global: &Global) -> Result<u8, Failure> {
    let place = Place::find(global)?;
    place.prepare()?;
    match Membership::find(&place.data)? {
        Some(member) => {
            let cluster = member.identity()?.authority().cluster().to_string();
            check_same_cluster(args, &member)?;
            tell(global.output, &cluster, "this machine is a member already");
        }
        None => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| failure("cannot start", &error))?;
            let joined = runtime.block_on(Box::pin(join(args, &place)));
            let cluster = joined.inspect_err(|_| place.give_up())?;
            tell(global.output, &cluster, "joined");
        }
    }
    if args.no_start { Ok(0) } else { agent::run(&args.agent, global) }
}

/// A token for another cluster is no slip to pass over.
fn check_same_cluster(args: &JoinArgs, member: &Membership) -> Result<(), Failure> {
    let Some(text) = &args.token else { return Ok(()) };
    let token = parse(text)?;
    if token.authority() == member.identity()?.authority().fingerprint() {
        return Ok(());
    }
    Err(Failure::new("this data directory belongs to a member of another cloud")
        .with_hint("name another with --data DIR, or remove this one after its tasks have ended"))
}

async fn join(args: &JoinArgs, place: &Place) -> Result<String, Failure> {
    let server: ServerAddress =
        args.server.parse().map_err(|error: kogge_link::AddressError| Failure::usage(error.to_string()))?;
    let Some(text) = &args.token else {
        return Err(Failure::usage("a token is needed to join")
            .with_hint("`kogge node token` on a server makes one; give it by KOGGE_TOKEN or --token"));
    };
    let token = parse(text)?;
    let agent = kogge_agent::agent_id(&place.data.join("agent"))
        .map_err(|error| hinted(failure("cannot use the data directory", &error), error.hint()))?;
    let key = membership::key(&place.data)?;
    let wish = JoinWish { server, token, agent, key };
    let group = TaskGroup::new("join");
    let joined = kogge_link::join(&wish, &Timing::default(), &group).await;
    group.shutdown(PATIENCE).await;
    let Joined { identity, servers } = joined.map_err(|error| {
        let reason = error.reason();
        match reason.hint {
            Some(hint) => Failure::new(reason.text).with_hint(hint),
            None => Failure::new(reason.text),
        }
    })?;
    let settings = Settings::default().overlaid(&args.agent);
    Membership::found(&place.data, &identity, &servers, settings)?;
    Ok(identity.authority().cluster().to_string())
}

fn parse(text: &str) -> Result<Token, Failure> {
    text.parse().map_err(|error: kogge_link::token::TokenError| {
        Failure::usage(error.to_string()).with_hint("`kogge node token` on a server makes one")
    })
}

fn tell(format: Format, cluster: &str, what: &str) {
    let mut error = std::io::stderr();
    // A reader that is gone is no failure.
    let _ = match format {
        Format::Text => writeln!(error, "{what}: cloud {cluster}"),
        Format::Json => Ok(()),
    };
}
