//! `kogge image`

use std::io;

use kogge_client::Client;
use kogge_model::resources::Bytes;
use kogge_model::view::{BuildBaseRequest, ImageView};
use serde::Serialize;

use crate::args::{BuildBaseArgs, Format, ImageCommand, LoadArgs, RemoveArgs};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Page, Show};
use crate::table::{self, or_dash};
use crate::time;

pub(crate) async fn run(context: &mut Context, command: ImageCommand) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        ImageCommand::List => list(context, &client).await,
        ImageCommand::Load(args) => load(context, &client, args).await,
        ImageCommand::Rm(args) => remove(context, &client, args).await,
        ImageCommand::BuildBase(args) => build_base(context, &client, args).await,
    }
}

async fn list(context: &mut Context, client: &Client) -> Result<(), Failure> {
    let images = client.images().await?;
    if images.is_empty() {
        context.say("there is no image yet: load one with `kogge image load FILE`, or push an app");
    }
    context.print(images.as_slice())
}

async fn load(context: &mut Context, client: &Client, args: LoadArgs) -> Result<(), Failure> {
    let shown = args.file.display().to_string();
    let progress = Context::progress();
    let told = progress.bytes(format!("loading {shown}"));
    let name = args.name.as_deref();
    let images = if shown == "-" {
        client.load_image(name, tokio::io::stdin(), told).await
    } else {
        let opened = tokio::fs::File::open(&args.file).await;
        let file = opened.map_err(|error| Failure::new(format!("cannot open {shown}: {error}")))?;
        client.load_image(name, file, told).await
    };
    drop(progress);
    let images = images?;
    match context.format {
        Format::Json => context.print(images.as_slice()),
        Format::Text => images.iter().try_for_each(|image| context.print(image)),
    }
}

async fn remove(context: &mut Context, client: &Client, args: RemoveArgs) -> Result<(), Failure> {
    let mut removed = Vec::new();
    for name in &args.names {
        removed.push(client.remove_image(name, args.plan).await?);
    }
    if args.plan {
        context.say("nothing was changed: this is only the plan");
    }
    match context.format {
        Format::Json => context.print(removed.as_slice()),
        Format::Text => removed.iter().try_for_each(|image| context.print(image)),
    }
}

async fn build_base(context: &mut Context, client: &Client, args: BuildBaseArgs) -> Result<(), Failure> {
    let BuildBaseArgs { name, suite, packages, plan } = args;
    if plan {
        return context.print(&BasePlan { name, suite, packages });
    }
    let wish = BuildBaseRequest { name: Some(name.clone()), suite: Some(suite), packages };
    let mut feed = client.build_base(&wish).await?;
    let mut progress = Context::progress();
    progress.tell(format!("making {name}"));
    while let Some(step) = feed.next().await? {
        if let Some(text) = step.text {
            progress.line(&text);
        }
        if let Some(problem) = step.problem {
            let failure = Failure::new(problem.to_string());
            return Err(match problem.hint {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            });
        }
        if let Some(image) = step.image {
            drop(progress);
            return context.print(&image);
        }
    }
    Err(Failure::new(format!("the cloud stopped telling about {name}: whether it was made is not known"))
        .with_hint("kogge image list"))
}

/// What would be made.
#[derive(Serialize)]
struct BasePlan {
    name: String,
    suite: String,
    packages: Vec<String>,
}

impl Show for BasePlan {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let more: String = self.packages.iter().map(|package| format!(" + {package}")).collect();
        writeln!(page.out, "+ {}: minimal Debian {}{more}", self.name, self.suite)
    }
}

impl Show for ImageView {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        writeln!(page.out, "{}", self.name.as_ref().unwrap_or(&self.digest))
    }
}

impl Show for [ImageView] {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let now = page.now;
        let rows = self.iter().map(|image| {
            let short: String = image.digest.trim_start_matches("sha256:").chars().take(12).collect();
            let added = image.added_at.map(|at| format!("{} ago", time::ago(at, now)));
            let size = Bytes(image.size_bytes).to_string();
            [or_dash(image.name.as_ref()), short, size, or_dash(added), image.used_by.join(" ")]
        });
        table::write(page.out, ["IMAGE", "DIGEST", "SIZE", "ADDED", "USED BY"], rows)
    }
}
