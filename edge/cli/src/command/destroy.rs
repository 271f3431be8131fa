//! `kogge destroy`

use crate::args::DestroyArgs;
use crate::confirm::confirm;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &mut Context, args: DestroyArgs) -> Result<(), Failure> {
    let client = context.client()?;
    if args.plan || !args.yes {
        let plan = client.destroy(args.names.clone(), true).await?;
        if args.plan {
            context.print(&plan)?;
            context.say("nothing was changed: this is only the plan");
            return Ok(());
        }
        for change in &plan.changes {
            let what = change.before.as_deref().unwrap_or_default();
            context.say(&format!("- {}: {what}", change.subject));
        }
        confirm(&format!("destroy {}?", args.names.join(", ")))?;
    }
    let mut change = client.destroy(args.names, false).await?;
    // What is gone is told, not how its last deployment went.
    change.deployments.clear();
    context.print(&change)
}
