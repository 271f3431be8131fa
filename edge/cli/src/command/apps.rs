//! `kogge apps`

use std::io;

use kogge_model::view::AppView;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Page, Show};
use crate::table::{self, or_dash};

pub(crate) async fn run(context: &mut Context) -> Result<(), Failure> {
    let apps = context.client()?.apps().await?;
    if apps.is_empty() {
        context.say("there is no app yet: make one with `kogge create NAME`");
    }
    context.print(apps.as_slice())
}

impl Show for [AppView] {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let rows = self.iter().map(|app| {
            let healthy = format!("{} of {}", app.healthy, app.instances);
            [app.app.clone(), app.services.join(" "), healthy, or_dash(app.url.as_ref()), app.git_url.clone()]
        });
        table::write(page.out, ["APP", "SERVICES", "HEALTHY", "URL", "PUSH TO"], rows)
    }
}
