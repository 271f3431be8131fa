//! The words: ids, resources, specs, states, scheduler calls and events, agent messages.
