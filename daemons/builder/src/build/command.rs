//! buildah's command lines, built apart from running them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::Config;

/// A buildah with storage of its own: nothing of the machine's is read or written.
#[derive(Debug, Clone)]
pub struct Buildah {
    storage: PathBuf,
    run: PathBuf,
    settings: PathBuf,
}

/// What one build asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Build<'a> {
    /// The name of the image in buildah's own storage.
    pub(crate) tag: &'a str,
    /// Where the files are.
    pub(crate) source: &'a Path,
    /// The commit, told to the image as a label.
    pub(crate) commit: &'a str,
}

impl Buildah {
    /// The one of this builder.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            storage: config.data_dir.join("storage"),
            run: config.runtime_dir.join("storage"),
            settings: config.data_dir.join("buildah"),
        }
    }

    /// Where its images and layers are.
    #[must_use]
    pub fn storage(&self) -> &Path {
        &self.storage
    }

    /// Writes the settings every command line names.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub fn write_settings(&self) -> std::io::Result<()> {
        for directory in [&self.storage, &self.run, &self.settings] {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(self.policy(), "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}\n")?;
        std::fs::write(
            self.registries(),
            "unqualified-search-registries = [\"docker.io\"]\nshort-name-mode = \"permissive\"\n",
        )?;
        std::fs::write(self.storage_settings(), "[storage]\ndriver = \"overlay\"\n")
    }

    fn policy(&self) -> PathBuf {
        self.settings.join("policy.json")
    }

    fn registries(&self) -> PathBuf {
        self.settings.join("registries.conf")
    }

    /// Named by the environment variable `CONTAINERS_STORAGE_CONF`.
    #[must_use]
    pub fn storage_settings(&self) -> PathBuf {
        self.settings.join("storage.conf")
    }

    fn line(&self, words: &[&str]) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec!["buildah".into()];
        for (flag, value) in
            [("--root", &self.storage), ("--runroot", &self.run), ("--registries-conf", &self.registries())]
        {
            line.push(flag.into());
            line.push(value.into());
        }
        line.extend(["--storage-driver", "overlay"].map(Into::into));
        line.extend(words.iter().map(Into::into));
        line
    }

    /// The same command with mounts and processes of its own: whatever it mounts or starts is gone with it, however it
    /// ends. Its lists of what is mounted, in the run directory, must then be new each time.
    pub(crate) fn enclose(&self, line: Vec<OsString>) -> Vec<OsString> {
        let fences = ["--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let mut all: Vec<OsString> = vec!["unshare".into()];
        all.extend(fences.map(Into::into));
        all.extend(["sh", "-c", "mount -t tmpfs -o mode=0700 tmpfs \"$0\" && exec \"$@\""].map(Into::into));
        all.push(self.run.clone().into());
        all.extend(line);
        all
    }

    /// Builds the Dockerfile. The steps run under runc, not crun, which refuses hybrid hosts; and with the network
    /// of whoever calls, which is a namespace of the build's own.
    pub(crate) fn build(&self, config: &Config, build: Build<'_>) -> Vec<OsString> {
        let policy = self.policy();
        let quota = (config.cpu_millis * 100).to_string();
        let memory = format!("{}b", config.mem_bytes);
        let label = format!("kogge.commit={}", build.commit);
        let mut line =
            self.line(&["bud", "--layers", "--format", "oci", "--isolation", "oci", "--network", "host"]);
        for (flag, value) in [
            ("--runtime", "runc"),
            ("--cgroup-parent", config.cgroup.as_str()),
            ("--memory", memory.as_str()),
            ("--memory-swap", memory.as_str()),
            ("--cpu-period", "100000"),
            ("--cpu-quota", quota.as_str()),
            ("--cap-drop", "CAP_MKNOD"),
            ("--label", label.as_str()),
            ("--tag", build.tag),
        ] {
            line.push(flag.into());
            line.push(value.into());
        }
        line.push("--signature-policy".into());
        line.push(policy.into());
        line.push(build.source.into());
        line
    }

    /// Takes the OCI layout `layout`, a directory in `place`; the last line it prints is the image's id.
    ///
    /// buildah makes a name out of the path it is told, and names have no capitals: so it is told a relative one.
    pub(crate) fn pull(&self, place: &Path, layout: &str) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec!["env".into(), "-C".into(), place.into()];
        line.extend(self.line(&["pull", "--quiet", "--signature-policy"]));
        line.push(self.policy().into());
        line.push(transport(Path::new(layout), ""));
        line
    }

    /// Names an image of its storage.
    pub(crate) fn tag(&self, image: &str, name: &str) -> Vec<OsString> {
        self.line(&["tag", image, name])
    }

    /// Writes an image as an OCI layout.
    pub(crate) fn push(&self, tag: &str, layout: &Path) -> Vec<OsString> {
        let mut line = self.line(&["push", "--quiet", "--signature-policy"]);
        line.push(self.policy().into());
        line.push(tag.into());
        line.push(transport(layout, ":image"));
        line
    }

    /// Forgets everything, the cache with it.
    pub(crate) fn clear(&self) -> Vec<OsString> {
        self.line(&["rmi", "--all", "--force"])
    }
}

/// containers-transports(5), `oci:`: without a name, the only image of the layout.
fn transport(layout: &Path, name: &str) -> OsString {
    let mut text = OsString::from("oci:");
    text.push(layout);
    text.push(name);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_bounded_and_reads_nothing_of_the_machine() {
        let config =
            Config::new("/data".into(), "/run/k".into(), "/bin/kogge".into(), "/kogge-x/builds".into());
        let build = Build { tag: "kogge-build:1", source: Path::new("/src"), commit: "abc" };
        let line = Buildah::of(&config).build(&config, build);
        let words: Vec<String> = line.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let text = words.join(" ");
        for part in [
            "buildah --root /data/storage --runroot /run/k/storage --registries-conf /data/buildah/registries.conf",
            "--runtime runc",
            "--cgroup-parent /kogge-x/builds --memory 2147483648b --memory-swap 2147483648b",
            "--cpu-quota 200000",
            "--cap-drop CAP_MKNOD",
            "--signature-policy /data/buildah/policy.json /src",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
