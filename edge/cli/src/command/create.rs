//! `kogge create`

use std::io;

use kogge_model::view::AppView;

use crate::args::CreateArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::git::{self, RemoteAdded};
use crate::output::{Page, Show};

pub(crate) async fn run(context: &mut Context, args: &CreateArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let app = client.create_app(&args.name, args.plan).await?;
    if args.plan {
        context.print(&app)?;
        context.say("nothing was changed: this is only the plan");
        return Ok(());
    }
    if !args.no_remote {
        let added = git::add_remote(&super::here(), &app.git_url);
        if added == RemoteAdded::Added && app.git_url.starts_with("https://") {
            super::git::trust(context, &client, &app.git_url).await?;
        }
        let text = match added {
            RemoteAdded::NoCheckout => format!("push to it with `git push {} main`", app.git_url),
            RemoteAdded::Added => {
                format!("added git remote {}: push with `git push kogge main`", git::REMOTE)
            }
            RemoteAdded::AlreadyThere => "push with `git push kogge main`".to_owned(),
            RemoteAdded::Elsewhere(old) => format!(
                "left git remote {} alone, which leads to {old}: change it with `git remote set-url {0} {}`",
                git::REMOTE,
                app.git_url
            ),
            RemoteAdded::Failed(why) => format!("could not add git remote {}: {why}", git::REMOTE),
        };
        context.say(&text);
    }
    context.print(&app)
}

impl Show for AppView {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        writeln!(page.out, "{}  {}", self.app, self.git_url)
    }
}
