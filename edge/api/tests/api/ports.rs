//! What stands behind control's ports here: a few images in memory, tasks that echo.

use std::io;
use std::sync::Mutex;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use kogge_control::ports::{
    BaseImageWish, Drains, ExecSession, Flow, ImageFacts, Images, LogSubject, LogWish, Pending, Progress,
    TaskAccess,
};
use kogge_model::digest::Digest;
use kogge_model::id::{AgentId, Generation, RunId, TaskId};
use kogge_model::image::ImageRef;
use kogge_model::reason::Reason;
use kogge_model::task::Exit;
use kogge_model::time::Timestamp;
use kogge_model::view::exec::{ExecInput, ExecOutput, ExecRequest};
use kogge_model::view::{ImageView, LogLineView, LogSource};
use tokio::sync::mpsc;

/// Images by name.
#[derive(Debug, Default)]
pub(crate) struct MemoryImages(Mutex<Vec<ImageView>>);

fn image(name: &str, bytes: &[u8]) -> ImageView {
    ImageView {
        name: Some(name.to_owned()),
        digest: Digest::of(bytes).to_string(),
        size_bytes: bytes.len() as u64,
        added_at: None,
        used_by: Vec::new(),
    }
}

impl Images for MemoryImages {
    fn resolve(&self, name: String) -> Pending<'_, Result<ImageFacts, Reason>> {
        Box::pin(async move {
            let images = self.0.lock().unwrap();
            let found = images.iter().find(|image| image.name.as_deref() == Some(&name));
            let found = found.ok_or_else(|| Reason::new(format!("there is no image {name}")))?;
            let image = ImageRef { name, digest: found.digest.parse().unwrap() };
            let command = Some(kogge_model::template::Command::Shell("serve".into()));
            Ok(ImageFacts { image, command, exposed_ports: Vec::new() })
        })
    }

    fn list(&self) -> Pending<'_, Result<Vec<ImageView>, Reason>> {
        Box::pin(async { Ok(self.0.lock().unwrap().clone()) })
    }

    fn load(
        &self,
        mut archive: Flow<io::Result<Bytes>>,
        name: Option<String>,
    ) -> Pending<'_, Result<Vec<ImageView>, Reason>> {
        Box::pin(async move {
            let mut bytes = Vec::new();
            while let Some(chunk) = archive.next().await {
                bytes.extend_from_slice(&chunk.map_err(|error| Reason::new(error.to_string()))?);
            }
            if !bytes.starts_with(b"TAR") {
                return Err(Reason::new("it is no archive"));
            }
            let image = image(&name.unwrap_or_else(|| "loaded:latest".into()), &bytes);
            self.0.lock().unwrap().push(image.clone());
            Ok(vec![image])
        })
    }

    fn remove(&self, name: String) -> Pending<'_, Result<(), Reason>> {
        Box::pin(async move {
            self.0.lock().unwrap().retain(|image| image.name.as_deref() != Some(&name));
            Ok(())
        })
    }

    fn build_base(&self, wish: BaseImageWish) -> Pending<'_, Result<Flow<Progress>, Reason>> {
        Box::pin(async move {
            let last = if wish.suite == "bookworm" {
                Progress::Done(Box::new(image(&wish.name, b"base")))
            } else {
                Progress::Failed(
                    Reason::new(format!("there is no suite {}", wish.suite)).with_hint("bookworm"),
                )
            };
            let flow: Flow<Progress> = Box::pin(stream::iter([Progress::Line("fetching".into()), last]));
            Ok(flow)
        })
    }
}

/// Tasks that wrote two lines each, and run `cat`, `false` and `lost`.
#[derive(Debug)]
pub(crate) struct EchoTasks;

impl TaskAccess for EchoTasks {
    fn logs(&self, tasks: Vec<LogSubject>, wish: LogWish) -> Pending<'_, Result<Flow<LogLineView>, Reason>> {
        let line = |subject: LogSubject, text: &str| LogLineView {
            at: Timestamp::from_secs(1).into(),
            service: subject.service,
            instance: subject.instance,
            task: subject.task.to_string(),
            stream: LogSource::Stdout,
            text: text.to_owned(),
            is_partial: false,
            lost_records: 0,
            lost_bytes: 0,
        };
        let lines = tasks.into_iter().flat_map(move |task| [line(task.clone(), "one"), line(task, "two")]);
        let lines: Vec<LogLineView> = lines.collect();
        Box::pin(async move {
            let written = stream::iter(lines);
            let flow: Flow<LogLineView> =
                if wish.follow { Box::pin(written.chain(stream::pending())) } else { Box::pin(written) };
            Ok(flow)
        })
    }

    fn exec(
        &self,
        _agent: AgentId,
        _task: TaskId,
        request: ExecRequest,
    ) -> Pending<'_, Result<ExecSession, Reason>> {
        Box::pin(async move {
            let (input, mut input_in) = mpsc::channel(4);
            let (output_out, output) = mpsc::channel(4);
            let program = async move {
                match request.argv[0].as_str() {
                    "cat" => {
                        while let Some(ExecInput::Stdin(bytes)) = input_in.recv().await {
                            output_out.send(ExecOutput::Stdout(bytes)).await.ok()?;
                        }
                        output_out.send(ExecOutput::Exit(Exit::Code { code: 0 })).await.ok()
                    }
                    "false" => output_out.send(ExecOutput::Exit(Exit::Code { code: 1 })).await.ok(),
                    _ => None,
                }
            };
            #[expect(clippy::disallowed_methods, reason = "a program of this test ends with its channels")]
            tokio::spawn(program);
            Ok(ExecSession { input, output })
        })
    }
}

/// No request is ever in flight here.
#[derive(Debug)]
pub(crate) struct IdleRouter;

impl Drains for IdleRouter {
    fn drained(&self, _generation: Generation, _run: RunId) -> Pending<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}
