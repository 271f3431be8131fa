//! What goes past the cores: logs, programs inside tasks, images, events.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use kogge_model::caller::Caller;
use kogge_model::id::{AgentId, TaskId};
use kogge_model::name::InstanceId;
use kogge_model::reason::Reason;
use kogge_model::view::exec::ExecRequest;
use kogge_model::view::{BuildBaseRequest, EventKind, EventView, ImageView, LogLineView, LogQuery, Moment};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::ReusableBoxFuture;

use crate::follow::follow;
use crate::handle::Handle;
use crate::ports::{BaseImageWish, ExecSession, Flow, LogSubject, LogWish, Progress};
use crate::refusal::Refusal;

impl Handle {
    /// Captured lines, merged by time.
    ///
    /// # Errors
    /// When what is asked about does not exist, or its agent cannot be reached.
    pub async fn logs(&self, query: LogQuery) -> Result<Flow<LogLineView>, Refusal> {
        let of = query.of.clone();
        let subjects = self.look(move |cloud, _| cloud.log_subjects(of.as_deref())).await?;
        let wish =
            LogWish { since: query.since.map(|moment| moment.0), tail: query.tail, follow: query.follow };
        let first = self.inner.tasks.logs(subjects.clone(), wish).await.map_err(Refusal::Unavailable)?;
        if !query.follow {
            return Ok(first);
        }
        Ok(follow(self.clone(), query.of, &subjects, first))
    }

    /// Runs a program inside a running instance (`shop.2`; `shop` means its first running one).
    ///
    /// # Errors
    /// When there is no such running instance, or the program cannot be started.
    pub async fn exec(
        &self,
        _caller: &Caller,
        instance: String,
        request: ExecRequest,
    ) -> Result<ExecSession, Refusal> {
        if request.argv.is_empty() {
            return Err(Refusal::field("argv", "is empty: name a program"));
        }
        let (agent, task) = self.look(move |cloud, _| cloud.running_task(&instance)).await?;
        self.inner.tasks.exec(agent, task, request).await.map_err(Refusal::Unavailable)
    }

    /// All images that are here.
    ///
    /// # Errors
    /// When the image store cannot be read.
    pub async fn images(&self) -> Result<Vec<ImageView>, Refusal> {
        let mut images = self.inner.images.list().await.map_err(Refusal::Broken)?;
        let users = self.look(|cloud, _| Ok(cloud.image_users())).await?;
        for image in &mut images {
            image.used_by = users.get(&image.digest).cloned().unwrap_or_default();
        }
        Ok(images)
    }

    /// Takes an archive (`docker save` or OCI layout) into the image store; tells the images it held.
    ///
    /// # Errors
    /// When the archive is damaged, hostile or too large.
    pub async fn load_images(
        &self,
        _caller: &Caller,
        archive: Flow<io::Result<Bytes>>,
        name: Option<String>,
    ) -> Result<Vec<ImageView>, Refusal> {
        let loaded = self.inner.images.load(archive, name).await;
        loaded.map_err(|reason| Refusal::field("archive", reason.text))
    }

    /// Forgets an image's name. What runs or could be rolled back to is kept.
    ///
    /// # Errors
    /// When there is none of that name, or services need it.
    pub async fn remove_image(
        &self,
        _caller: &Caller,
        name: String,
        is_plan: bool,
    ) -> Result<ImageView, Refusal> {
        let images = self.images().await?;
        let found = images.into_iter().find(|image| image.digest == name || names(image, &name));
        let Some(image) = found else {
            let reason = Reason::new(format!("there is no image {name}")).with_hint("kogge image list");
            return Err(Refusal::NotFound(reason));
        };
        if !image.used_by.is_empty() {
            let reason = Reason::new(format!("image {name} is used by {}", image.used_by.join(", ")));
            return Err(Refusal::Conflict(
                reason.with_hint("destroy the service or deploy another image first"),
            ));
        }
        if !is_plan {
            let asked = image.name.clone().unwrap_or_else(|| image.digest.clone());
            self.inner.images.remove(asked).await.map_err(Refusal::Broken)?;
        }
        Ok(image)
    }

    /// Makes a base image from Debian packages.
    ///
    /// # Errors
    /// When the wish is malformed or the program that does it is missing.
    pub async fn build_base_image(
        &self,
        _caller: &Caller,
        wish: BuildBaseRequest,
    ) -> Result<Flow<Progress>, Refusal> {
        let wish = BaseImageWish {
            name: wish.name.unwrap_or_else(|| "kogge/base:12".to_owned()),
            suite: wish.suite.unwrap_or_else(|| "bookworm".to_owned()),
            packages: wish.packages,
        };
        self.inner.images.build_base(wish).await.map_err(Refusal::Unavailable)
    }

    /// Waits until something changed, or for `at_most`.
    pub(crate) async fn next_change(
        &self,
        changed: &mut tokio::sync::watch::Receiver<u64>,
        at_most: Duration,
    ) {
        // Both ends mean the same to the caller: look again.
        let _ = tokio::time::timeout(at_most, changed.changed()).await;
    }

    /// Everything that happens from now on. A listener that is too slow loses the oldest and is told so.
    #[must_use]
    pub fn events(&self) -> Flow<EventView> {
        Box::pin(Events { inner: ReusableBoxFuture::new(receive(self.inner.events.subscribe())) })
    }
}

fn names(image: &ImageView, name: &str) -> bool {
    let full = image.name.as_deref();
    full == Some(name) || full == Some(format!("{name}:latest").as_str())
}

type Receiver = tokio::sync::broadcast::Receiver<EventView>;

async fn receive(mut receiver: Receiver) -> (Result<EventView, RecvError>, Receiver) {
    let result = receiver.recv().await;
    (result, receiver)
}

struct Events {
    inner: ReusableBoxFuture<'static, (Result<EventView, RecvError>, Receiver)>,
}

impl Stream for Events {
    type Item = EventView;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<EventView>> {
        let (result, receiver) = std::task::ready!(self.inner.poll(context));
        self.inner.set(receive(receiver));
        std::task::Poll::Ready(match result {
            Ok(event) => Some(event),
            Err(RecvError::Closed) => None,
            Err(RecvError::Lagged(count)) => Some(lagged(count)),
        })
    }
}

fn lagged(count: u64) -> EventView {
    EventView {
        sequence: 0,
        at: Moment(kogge_host::clock::now()),
        kind: EventKind::Lagged,
        service: None,
        instance: None,
        task: None,
        state: None,
        text: format!("{count} events were lost: read again what you show"),
    }
}

impl crate::cloud::Cloud {
    /// The task of a running instance, and where it runs.
    pub(crate) fn running_task(&self, name: &str) -> Result<(AgentId, TaskId), Refusal> {
        let wanted: Option<InstanceId> = name.parse().ok();
        let service = match &wanted {
            Some(instance) => instance.service.clone(),
            None => name.parse().map_err(|_| self.unknown(name))?,
        };
        if self.tree.service(&service).is_none() {
            return Err(self.unknown(name));
        }
        let running = self.instances_of(&service).find(|instance| {
            instance.is_running && wanted.as_ref().is_none_or(|wanted| wanted.number == instance.number)
        });
        running.map(|instance| (instance.agent.clone(), instance.task.clone())).ok_or_else(|| {
            let reason = Reason::new(format!("no instance of {name} is running"));
            Refusal::Conflict(reason.with_hint(format!("kogge why {service}")))
        })
    }

    /// The tasks whose lines belong to an app, a service, an instance, or to anything.
    pub(crate) fn log_subjects(&self, of: Option<&str>) -> Result<Vec<LogSubject>, Refusal> {
        let (services, number) = self.subjects(of)?;
        let mut subjects = Vec::new();
        for service in &services {
            let of_number = |instance: &crate::look::InstanceFacts<'_>| {
                number.is_none_or(|number| number == instance.number)
            };
            for instance in self.all_instances_of(service).filter(of_number) {
                subjects.push(LogSubject {
                    task: instance.task.clone(),
                    agent: instance.agent.clone(),
                    service: service.to_string(),
                    instance: format!("{service}.{}", instance.number),
                });
            }
        }
        Ok(subjects)
    }
}
