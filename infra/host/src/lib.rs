//! Clock, task supervision, shutdown, mailboxes and listeners.
