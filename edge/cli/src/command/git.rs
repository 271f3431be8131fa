//! `kogge ca`, `kogge git-config`, `kogge git-credential`: how programs of other makes come in behind TLS.

use kogge_client::Client;

use crate::context::Context;
use crate::failure::Failure;
use crate::git;

/// For git it stands above every configuration (git-config(1), http.sslCAInfo).
const OVERRIDE: &str = "GIT_SSL_CAINFO";

pub(crate) async fn ca(context: &mut Context) -> Result<(), Failure> {
    let pem = context.client()?.authority().await?;
    context.write(pem.as_bytes())
}

pub(crate) async fn config(context: &mut Context) -> Result<(), Failure> {
    let url = git::remote(&super::here()).ok_or_else(|| {
        Failure::new(format!("there is no git remote {} here", git::REMOTE))
            .with_hint("run it in a checkout, after `kogge create NAME`")
    })?;
    if !url.starts_with("https://") {
        context.say(&format!("nothing to do: {url} takes pushes without a token"));
        return Ok(());
    }
    let client = context.client()?;
    trust(context, &client, &url).await
}

/// Makes the checkout we stand in believe the servers at `url`, and ask us for the token.
pub(super) async fn trust(context: &mut Context, client: &Client, url: &str) -> Result<(), Failure> {
    let pem = client.authority().await?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot find this program: {error}")))?;
    let told = git::trust(&super::here(), url, &pem, &program, context.token_file());
    let base = told.map_err(|why| Failure::new(format!("cannot prepare git for {url}: {why}")))?;
    context.say(&format!("git trusts {base} in this checkout, and asks kogge for the token"));
    if std::env::var_os(OVERRIDE).is_some() {
        context.say(&format!("{OVERRIDE} is set here and wins over it: unset it to push"));
    }
    Ok(())
}

/// Answers git (gitcredentials(7)). What git wants to be kept or forgotten is ours already.
pub(crate) fn credential(context: &mut Context, operation: &str) -> Result<(), Failure> {
    if operation != "get" {
        return Ok(());
    }
    let token = context.token()?.ok_or_else(|| {
        Failure::new("there is no token to push with")
            .with_hint("write one to ~/.config/kogge/token, or put it into KOGGE_TOKEN")
    })?;
    context.write(format!("username=kogge\npassword={}\n", token.reveal()).as_bytes())
}
