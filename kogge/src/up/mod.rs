//! `kogge up`: the whole cloud in this process.
//!
//! Start, in this order: the place, the doors, the images, the router, the agent, control, the builder, the API.
//! Each part ends in the opposite order, and each whose end was not asked for ends the process: the next start
//! finds everything as it was left.

mod api;
mod cloud;
mod detach;
mod doors;
mod end;
mod place;

use kogge_cli::{Failure, Global, UpArgs};

use crate::logging;
use place::Place;

/// Runs the cloud until it is asked to end, or starts it in the background.
pub(crate) fn run(args: &UpArgs, global: &Global) -> Result<u8, Failure> {
    let place = Place::find(global)?;
    if args.detach {
        return detach::start(&place, global.output);
    }
    let ready = detach::Ready::inherited();
    match serve(args, &place, &ready) {
        Ok(()) => Ok(0),
        Err(failure) => {
            ready.failed(&failure);
            Err(failure)
        }
    }
}

fn serve(args: &UpArgs, place: &Place, ready: &detach::Ready) -> Result<(), Failure> {
    place.prepare()?;
    let log = ready.is_background().then(|| place.log_file());
    logging::start(log.as_deref()).map_err(|error| Failure::new(format!("cannot write the log: {error}")))?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_keep_alive(std::time::Duration::from_secs(2))
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    runtime.block_on(async {
        let cloud = Box::pin(cloud::Cloud::start(args, place)).await?;
        ready.up(&cloud.doors);
        Box::pin(cloud.run_to_end()).await
    })
}
