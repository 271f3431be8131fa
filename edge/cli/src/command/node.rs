//! `kogge node`

use std::io;

use kogge_model::resources::{Bytes, CpuMillis};
use kogge_model::view::{InvitationView, NodeResources, NodeView};

use crate::args::NodeCommand;
use crate::command::node_rules;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Page, Show};
use crate::table;

pub(crate) async fn run(context: &mut Context, command: NodeCommand) -> Result<(), Failure> {
    match command {
        NodeCommand::List => {
            let nodes = context.client()?.nodes().await?;
            context.print(nodes.as_slice())
        }
        NodeCommand::Info { name } => {
            for node in context.client()?.node(&name).await? {
                context.print(&node)?;
            }
            Ok(())
        }
        NodeCommand::Drain(args) => node_rules::drain(context, args).await,
        NodeCommand::Undrain(args) => node_rules::undrain(context, args).await,
        NodeCommand::Label(args) => node_rules::label(context, args).await,
        NodeCommand::Reserve(args) => node_rules::reserve(context, args).await,
        NodeCommand::Forget(args) => node_rules::forget(context, args).await,
        NodeCommand::Token { ttl } => {
            let invitation = context.client()?.invite(Some(ttl.millis() / 1_000)).await?;
            context.print(&invitation)
        }
    }
}

impl Show for InvitationView {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let server = self.servers.first().map_or("SERVER", String::as_str);
        writeln!(page.out, "{}", self.token)?;
        writeln!(page.out, "\nIt lets one machine in, until {}:", self.expires_at)?;
        writeln!(page.out, "  KOGGE_TOKEN={} kogge join {server}", self.token)?;
        if self.servers.is_empty() {
            writeln!(page.out, "This cloud has no door for other machines yet: start it with --agents-bind")?;
        }
        Ok(())
    }
}

impl Show for [NodeView] {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let rows = self.iter().map(|node| {
            let role = if node.leader { "leader" } else { node.role.word() };
            [
                node.name.clone(),
                role.to_owned(),
                node.state.clone(),
                node.version.clone(),
                node.address.clone(),
                node.resources.as_ref().map_or_else(|| "-".to_owned(), cpus),
                node.resources.as_ref().map_or_else(|| "-".to_owned(), memory),
                node.tasks.len().to_string(),
                node.reason.clone(),
            ]
        });
        let head = ["NAME", "ROLE", "STATE", "VERSION", "ADDRESS", "CPUS", "MEMORY", "TASKS", "REASON"];
        table::write(page.out, head, rows)
    }
}

impl Show for NodeView {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        writeln!(page.out, "name       {}", self.name)?;
        self.id.iter().try_for_each(|id| writeln!(page.out, "id         {id}"))?;
        writeln!(page.out, "role       {}{}", self.role.word(), if self.leader { ", leads" } else { "" })?;
        writeln!(page.out, "state      {}: {}", self.state, self.reason)?;
        writeln!(page.out, "version    {}", self.version)?;
        writeln!(page.out, "address    {}", self.address)?;
        if let Some(resources) = &self.resources {
            writeln!(page.out, "cpus       {}", cpus(resources))?;
            writeln!(page.out, "memory     {}", memory(resources))?;
            let (held, all) = (Bytes(resources.held_disk_bytes), Bytes(resources.disk_bytes));
            writeln!(page.out, "disk       {held} of {all}")?;
        }
        for (key, value) in &self.attributes {
            let what = if self.labels.contains_key(key) { "label    " } else { "attribute" };
            writeln!(page.out, "{what}  {key}={value}")?;
        }
        self.tasks.iter().try_for_each(|task| writeln!(page.out, "task       {task}"))
    }
}

fn cpus(resources: &NodeResources) -> String {
    format!("{} of {}", CpuMillis(resources.held_cpu_millis), CpuMillis(resources.cpu_millis))
}

fn memory(resources: &NodeResources) -> String {
    format!("{} of {}", Bytes(resources.held_mem_bytes), Bytes(resources.mem_bytes))
}
