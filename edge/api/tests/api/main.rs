//! The API as a client meets it: a real control with its store behind a real socket, and an agent that speaks the
//! link but runs nothing.

mod agent;
mod changes;
mod cloud;
mod coverage;
mod document;
mod exec;
mod images;
mod limits;
mod looks;
mod ports;
mod streams;
