//! `kogge man`

use std::path::Path;

use clap::CommandFactory as _;

use crate::args::{Cli, ManArgs};
use crate::context::Context;
use crate::failure::Failure;

pub(crate) fn run(context: &mut Context, args: &ManArgs) -> Result<(), Failure> {
    match &args.dir {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            context.write(&page)
        }
        Some(dir) => write_all(dir)
            .map_err(|error| Failure::new(format!("cannot write the manual to {}: {error}", dir.display()))),
    }
}

fn write_all(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)
}
