//! `kogge up`: the whole cloud in this process.
//!
//! Start, in this order: the doors, the images, the router, control, the agent, the builder, the API, the door for
//! other machines. Each part ends in the opposite order, and each whose end was not asked for ends the process: the
//! next start finds everything as it was left.

mod api;
mod api_doors;
mod cloud;
mod doors;
mod end;

use kogge_cli::{Failure, Global, UpArgs};

use crate::process::{self, Place, Ready};

pub(crate) use api::{routes, serve as serve_api};
pub(crate) use api_doors::ApiDoors;
pub(crate) use cloud::{KEEP_REVISIONS, facts, start_agent, start_builder, start_failure};
pub(crate) use doors::{bind, default_at, pid as doors_pid, publish, withdraw};
pub(crate) use end::collect_images;

/// Runs the cloud until it is asked to end, or starts it in the background.
pub(crate) fn run(args: &UpArgs, global: &Global) -> Result<u8, Failure> {
    let place = Place::find(global)?;
    let background = args.detach.then(process::own_words);
    process::run(&place, background, global.output, async |ready: &Ready| {
        let cloud = Box::pin(cloud::Cloud::start(args, &place)).await?;
        ready.up(&cloud.doors);
        Box::pin(cloud.run_to_end()).await
    })
}
