//! One app's bare repository.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kogge_model::name::AppId;
use thiserror::Error;
use tokio::process::Command;

use crate::config::Config;

/// A repository that cannot be made.
#[derive(Debug, Error)]
pub(crate) enum RepositoryError {
    /// A program or file is missing, or the disk is full.
    #[error("cannot make the repository of {app}: {what}")]
    Make {
        /// Whose.
        app: AppId,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// git ended with an error.
    #[error("cannot make the repository of {app}: git says {said}")]
    Git {
        /// Whose.
        app: AppId,
        /// Its last words.
        said: String,
    },
}

/// Where an app's commits stand.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(crate) app: AppId,
    pub(crate) path: PathBuf,
}

impl Repository {
    /// The place of `app`'s repository, whether it exists or not.
    pub(crate) fn of(config: &Config, app: &AppId) -> Self {
        let path = config.repositories().join(app.environment.as_str()).join(format!("{}.git", app.app));
        Self { app: app.clone(), path }
    }

    /// Makes the repository if it is not there, and its settings as they must be.
    pub(crate) async fn ensure(&self, config: &Config) -> Result<(), RepositoryError> {
        let hooks = self.write_hook(config)?;
        if !self.path.join("HEAD").exists() {
            self.git(&["init", "--quiet", "--bare", "--initial-branch=main"]).await?;
        }
        let max = config.max_push_bytes.to_string();
        let hooks = hooks.to_string_lossy();
        for (key, value) in [
            ("http.receivepack", "true"),
            ("http.getanyfile", "false"),
            ("receive.fsckObjects", "true"),
            ("receive.maxInputSize", max.as_str()),
            ("core.hooksPath", hooks.as_ref()),
            ("gc.auto", "200"),
        ] {
            self.git(&["config", key, value]).await?;
        }
        Ok(())
    }

    /// The hook is the same for all: it runs this program, which is told the rest by its environment.
    fn write_hook(&self, config: &Config) -> Result<PathBuf, RepositoryError> {
        let hooks = config.repositories().join("hooks");
        let program = config.program.to_string_lossy().replace('\'', "'\\''");
        let script = format!("#!/bin/sh\nexec '{program}' git-hook\n");
        let write = || -> io::Result<()> {
            std::fs::create_dir_all(&hooks)?;
            std::fs::create_dir_all(&self.path)?;
            let hook = hooks.join("pre-receive");
            if std::fs::read_to_string(&hook).is_ok_and(|standing| standing == script) {
                return Ok(());
            }
            let fresh = hooks.join("pre-receive.new");
            std::fs::write(&fresh, &script)?;
            std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755))?;
            std::fs::rename(&fresh, &hook)
        };
        let what = "write the hook";
        write().map_err(|source| RepositoryError::Make { app: self.app.clone(), what, source })?;
        Ok(hooks)
    }

    async fn git(&self, arguments: &[&str]) -> Result<(), RepositoryError> {
        let run = git(&self.path).args(arguments).output().await;
        let output =
            run.map_err(|source| RepositoryError::Make { app: self.app.clone(), what: "run git", source })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(RepositoryError::Git { app: self.app.clone(), said })
    }
}

/// A git that sees only `repository` and none of the machine's settings.
pub(crate) fn git(repository: &Path) -> Command {
    let mut git = Command::new("git");
    git.env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
        .env("HOME", repository)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_DIR", repository)
        .current_dir(repository)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    git
}
