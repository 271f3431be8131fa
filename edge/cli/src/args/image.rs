//! Arguments about images.

use clap::{Args, Subcommand, ValueHint};

/// What to do with images.
#[derive(Debug, Clone, Subcommand)]
pub enum ImageCommand {
    /// List images
    #[command(alias = "ls")]
    List,
    /// Take an archive made by `docker save`, or an OCI layout in a tar file
    Load(LoadArgs),
    /// Forget images
    #[command(alias = "remove")]
    Rm(RemoveArgs),
    /// Make a base image from Debian packages, with no registry in reach
    BuildBase(BuildBaseArgs),
}

/// Which archive.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// The archive; - means standard input
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: std::path::PathBuf,
    /// What to call the image, instead of what the archive says
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// Which images.
#[derive(Debug, Clone, Args)]
pub struct RemoveArgs {
    /// Names or digests
    #[arg(value_name = "IMAGE", required = true)]
    pub names: Vec<String>,
    /// Only tell what would be forgotten
    #[arg(long)]
    pub plan: bool,
}

/// What to make.
#[derive(Debug, Clone, Args)]
pub struct BuildBaseArgs {
    /// What to call the image
    #[arg(long, value_name = "NAME", default_value = "kogge/base:12")]
    pub name: String,
    /// The Debian suite
    #[arg(long, value_name = "SUITE", default_value = "bookworm")]
    pub suite: String,
    /// Packages beside the minimum, separated by commas
    #[arg(long = "packages", value_name = "PACKAGE", value_delimiter = ',')]
    pub packages: Vec<String>,
    /// Only tell what would be made
    #[arg(long)]
    pub plan: bool,
}
