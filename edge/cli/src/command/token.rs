//! `kogge token`

use std::io;

use kogge_model::view::{CreateTokenRequest, CreatedTokenView, Moment, TokenView};

use crate::args::{CreateTokenArgs, Format, TokenCommand};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Page, Show};
use crate::table;
use crate::time::{self, Life};

pub(crate) async fn run(context: &mut Context, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => create(context, args).await,
        TokenCommand::List => {
            let tokens = context.client()?.tokens().await?;
            if tokens.is_empty() {
                context.say("nobody may come in from another machine yet: make a token with `kogge token create NAME`");
            }
            context.print(tokens.as_slice())
        }
        TokenCommand::Revoke { tokens } => {
            let client = context.client()?;
            let mut revoked = Vec::new();
            for token in &tokens {
                revoked.push(client.revoke_token(token).await?);
            }
            match context.format {
                Format::Json => context.print(revoked.as_slice()),
                Format::Text => revoked.iter().try_for_each(|token| context.print(token)),
            }
        }
    }
}

async fn create(context: &mut Context, args: CreateTokenArgs) -> Result<(), Failure> {
    let expires_in_ms = match args.expires {
        Life::For(span) => Some(span.millis()),
        Life::Endless => None,
    };
    let never_expires = expires_in_ms.is_none();
    let wish = CreateTokenRequest { name: args.name, expires_in_ms, never_expires };
    let created = context.client()?.create_token(&wish).await?;
    context.print(&created)?;
    context.say(
        "keep it where only its owner reads, such as ~/.config/kogge/token (mode 600): it is not shown again",
    );
    Ok(())
}

/// Alone on its line, so that it can be written to a file as it is.
impl Show for CreatedTokenView {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        writeln!(page.out, "{}", self.secret)
    }
}

impl Show for TokenView {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        writeln!(page.out, "{}  {}", self.name, self.state.word())
    }
}

impl Show for [TokenView] {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let now = page.now;
        let rows = self.iter().map(|token| {
            let expires = token.expires_at.as_ref().map_or_else(|| "never".to_owned(), Moment::to_string);
            [
                token.name.clone(),
                token.id.clone(),
                token.state.word().to_owned(),
                format!("{} ago", time::ago(token.created_at, now)),
                token.created_by.clone(),
                expires,
            ]
        });
        table::write(page.out, ["NAME", "ID", "STATE", "CREATED", "BY", "EXPIRES"], rows)
    }
}
