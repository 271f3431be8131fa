//! `kogge node drain|undrain|label|reserve|forget`

use std::time::Duration;

use kogge_client::Client;
use kogge_model::view::{ChangeView, DrainRequest, LabelRequest, NodeRole, NodeView, ReserveRequest};

use crate::args::{DrainArgs, ForgetArgs, LabelArgs, NodeArgs, ReserveArgs};
use crate::confirm::confirm;
use crate::context::Context;
use crate::failure::Failure;

/// Between two looks at an agent that is being emptied.
const LOOK: Duration = Duration::from_millis(500);

/// Tasks that are named while they are waited for.
const NAMED: usize = 3;

pub(crate) async fn drain(context: &mut Context, args: DrainArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let (name, plan) = (&args.node.name, args.node.plan);
    let change = client.drain(name, &DrainRequest { reason: args.message.clone() }, plan).await?;
    if args.wait {
        let emptied = emptied(&client, name);
        let waited = match args.timeout {
            Some(limit) => tokio::time::timeout(limit.0, emptied).await.unwrap_or_else(|_| {
                let text = format!("{name} is not empty after {} s; the drain goes on", limit.0.as_secs());
                Err(Failure::new(text).with_hint(format!("kogge node info {name}")))
            }),
            None => emptied.await,
        };
        waited?;
    }
    tell(context, &change)?;
    if args.wait {
        context.say(&format!("nothing runs on {name} any more"));
    }
    Ok(())
}

/// Waits until nothing runs there, telling what still does.
async fn emptied(client: &Client, name: &str) -> Result<(), Failure> {
    let mut progress = Context::progress();
    loop {
        let mut nodes = client.node(name).await?;
        nodes.retain(|node| node.role == NodeRole::Agent);
        let Some(node) = nodes.first() else {
            return Err(Failure::new(format!("there is no agent {name} any more")));
        };
        match standing(node) {
            Some(Ok(())) => return Ok(()),
            Some(Err(failure)) => return Err(failure),
            None => progress.tell(line(node)),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether the wait is over, and how.
fn standing(node: &NodeView) -> Option<Result<(), Failure>> {
    let name = &node.name;
    match node.state.as_str() {
        "drained" => Some(Ok(())),
        "ready" => {
            let text = format!("{name} is not being drained any more: somebody took it back");
            Some(Err(Failure::new(text).with_hint(format!("kogge node drain {name}"))))
        }
        "lost" => {
            let text = format!("{name} is lost: {}", node.reason);
            Some(Err(
                Failure::new(text).with_hint(format!("kogge node forget {name}, if it will not come back"))
            ))
        }
        _ => None,
    }
}

fn line(node: &NodeView) -> String {
    let NodeView { name, tasks, .. } = node;
    let named: Vec<&str> = tasks.iter().take(NAMED).map(String::as_str).collect();
    match tasks.len() {
        0 => format!("{name}: {}", node.reason),
        1 => format!("{name}: 1 task is left: {}", named[0]),
        n if n > NAMED => format!("{name}: {n} tasks are left: {}, …", named.join(", ")),
        n => format!("{name}: {n} tasks are left: {}", named.join(", ")),
    }
}

pub(crate) async fn undrain(context: &mut Context, args: NodeArgs) -> Result<(), Failure> {
    let change = context.client()?.undrain(&args.name, args.plan).await?;
    tell(context, &change)
}

pub(crate) async fn label(context: &mut Context, args: LabelArgs) -> Result<(), Failure> {
    let labels = args.labels.into_iter().map(|label| (label.key, label.value)).collect();
    let change = context.client()?.label(&args.node.name, &LabelRequest { labels }, args.node.plan).await?;
    tell(context, &change)
}

pub(crate) async fn reserve(context: &mut Context, args: ReserveArgs) -> Result<(), Failure> {
    let request = ReserveRequest {
        cpu_millis: args.cpus.map_or(0, |cpus| cpus.0.0),
        mem_bytes: args.mem.map_or(0, |size| size.0.0),
        disk_bytes: args.disk.map_or(0, |size| size.0.0),
    };
    let change = context.client()?.reserve(&args.node.name, &request, args.node.plan).await?;
    tell(context, &change)
}

pub(crate) async fn forget(context: &mut Context, args: ForgetArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let name = &args.node.name;
    if !args.node.plan && !args.yes {
        // Refused before anybody is asked.
        client.forget(name, true).await?;
        confirm(&format!("forget {name} for good?"))?;
    }
    let change = client.forget(name, args.node.plan).await?;
    tell(context, &change)
}

fn tell(context: &mut Context, change: &ChangeView) -> Result<(), Failure> {
    context.print(change)?;
    if change.is_plan {
        context.say("nothing was changed: this is only the plan");
    } else if change.changes.is_empty() {
        context.say("nothing to change: everything is as asked already");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(state: &str, tasks: &[&str]) -> NodeView {
        NodeView {
            name: "m1".into(),
            id: Some("a1".into()),
            role: NodeRole::Agent,
            leader: false,
            state: state.into(),
            version: "1".into(),
            address: "10.0.0.1".into(),
            resources: None,
            attributes: Default::default(),
            labels: Default::default(),
            tasks: tasks.iter().map(|task| (*task).to_owned()).collect(),
            last_seen: None,
            reason: "new disk; 1 task is left".into(),
        }
    }

    #[test]
    fn a_drain_is_waited_for_until_nothing_is_left_or_nobody_wants_it() {
        assert!(standing(&node("draining", &["t"])).is_none());
        assert!(standing(&node("suspect", &["t"])).is_none());
        assert!(matches!(standing(&node("drained", &[])), Some(Ok(()))));
        for (state, hint) in [("ready", "kogge node drain m1"), ("lost", "kogge node forget m1")] {
            let Some(Err(failure)) = standing(&node(state, &[])) else { panic!("{state} ends the wait") };
            assert!(failure.hint().is_some_and(|told| told.starts_with(hint)), "{state}");
        }
    }

    #[test]
    fn what_is_left_is_told_by_name_while_it_is_little() {
        assert_eq!(line(&node("draining", &["a.1"])), "m1: 1 task is left: a.1");
        assert_eq!(line(&node("draining", &["a", "b"])), "m1: 2 tasks are left: a, b");
        assert_eq!(line(&node("draining", &["a", "b", "c", "d"])), "m1: 4 tasks are left: a, b, c, …");
    }
}
