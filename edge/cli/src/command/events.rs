//! `kogge events`

use std::io;

use kogge_model::view::EventView;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Page, Show};
use crate::table::clean;

pub(crate) async fn run(context: &mut Context) -> Result<(), Failure> {
    let mut feed = context.client()?.events().await?;
    while let Some(event) = feed.next().await? {
        context.print_next(&event)?;
    }
    Ok(())
}

impl Show for EventView {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let subject = self.instance.as_ref().or(self.service.as_ref());
        let subject = subject.map(|subject| format!("{subject} ")).unwrap_or_default();
        writeln!(page.out, "{}  {:<10}  {subject}{}", self.at, self.kind.word(), clean(&self.text))
    }
}
