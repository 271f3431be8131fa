//! An app behind the router.

use super::guest::Guest;

const SERVICE: &str = "web";
const INSTANCES: usize = 2;

/// From an image that was made outside and loaded here: this machine has no registry in reach.
pub(crate) fn deploy(guest: &mut Guest) -> anyhow::Result<()> {
    guest.ok(&format!(
        "kogge deploy --image box:1 --name {SERVICE} --instances {INSTANCES} --port 8080 --health / \
         --command 'mkdir -p /tmp/www; echo served > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www'"
    ))?;
    answers(guest)
}

/// All its instances are healthy, and the router finds them.
pub(crate) fn answers(guest: &Guest) -> anyhow::Result<()> {
    guest.healthy(SERVICE, INSTANCES)?;
    guest.until("the app answers through the router", |guest| {
        guest.prints(&format!("curl -sS -f -H 'Host: {SERVICE}.localhost' http://127.0.0.1/"), "served")?;
        Ok(Some(()))
    })
}
