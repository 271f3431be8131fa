//! The repositories of the apps, and git's smart HTTP protocol in front of them.

mod backend;
mod repository;
mod routes;

pub(crate) use routes::routes;
