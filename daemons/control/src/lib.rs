//! Leadership, load and persist; drives the cores.
