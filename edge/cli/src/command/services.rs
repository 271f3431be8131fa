//! `kogge scale`, `kogge restart`, `kogge stop`

use std::collections::BTreeMap;

use crate::args::{ScaleArgs, ServicesArgs};
use crate::command::change;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn scale(context: &mut Context, args: ScaleArgs) -> Result<(), Failure> {
    let mut instances = BTreeMap::new();
    for wish in args.wishes {
        if instances.insert(wish.service.clone(), wish.instances).is_some() {
            return Err(Failure::usage(format!("{} is named twice", wish.service))
                .with_hint("name each service once, such as web=3 worker=1"));
        }
    }
    let client = context.client()?;
    let changed = client.scale(instances, args.settle.plan).await?;
    change::settle(context, &client, changed, args.settle).await
}

pub(crate) async fn restart(context: &mut Context, args: ServicesArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let changed = client.restart(args.names, args.settle.plan).await?;
    change::settle(context, &client, changed, args.settle).await
}

pub(crate) async fn stop(context: &mut Context, args: ServicesArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let changed = client.stop(args.names, args.settle.plan).await?;
    change::settle(context, &client, changed, args.settle).await
}
