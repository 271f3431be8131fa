//! `kogge status`

use std::io;

use kogge_model::view::StatusView;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Page, Show};
use crate::time;

pub(crate) async fn run(context: &mut Context) -> Result<(), Failure> {
    let status = context.client()?.status().await?;
    context.print(&status)
}

impl Show for StatusView {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let up = time::span(self.uptime_s);
        writeln!(page.out, "version    {}", self.version)?;
        writeln!(page.out, "process    {} up for {up}", self.pid)?;
        writeln!(page.out, "cluster    {}", self.cluster)?;
        writeln!(page.out, "data       {}", self.data_dir)?;
        writeln!(page.out, "agents     {}", self.agents)?;
        writeln!(page.out, "services   {}", self.services)?;
        writeln!(page.out, "instances  {} of {} healthy", self.healthy, self.instances)?;
        writeln!(page.out, "revision   {}", self.revision)?;
        self.warnings.iter().try_for_each(|warning| writeln!(page.out, "warning    {warning}"))
    }
}
