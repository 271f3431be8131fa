//! `kogge deploy`

use crate::args::DeployArgs;
use crate::command::change;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &mut Context, args: &DeployArgs) -> Result<(), Failure> {
    let request = args.request();
    let client = context.client()?;
    let mut progress = Context::progress();
    if let Some(image) = &request.image {
        progress.tell(format!("looking for image {image}"));
    }
    let change = client.deploy(&request, args.settle.plan).await;
    drop(progress);
    change::settle(context, &client, change?, args.settle).await
}
