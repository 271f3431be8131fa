//! `kogge doors`

use std::io;

use kogge_model::view::DoorsView;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Page, Show};
use crate::table;

pub(crate) async fn run(context: &mut Context) -> Result<(), Failure> {
    let doors = context.client()?.doors().await?;
    context.print(&doors)
}

impl Show for DoorsView {
    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        table::write(page.out, ["DOOR", "URL"], self.0.iter().map(|(door, url)| [door.clone(), url.clone()]))
    }
}
