//! What is given to one peer at most, so that none can eat a server or an agent up (G24).

use std::time::Duration;

/// The longest message of a session: a registration tells about 1 KiB for each task of its agent.
pub const MAX_MESSAGE_BYTES: usize = 8 << 20;

/// The longest message of somebody who has not shown who they are.
pub(crate) const MAX_STRANGER_BYTES: usize = 64 << 10;

/// Bytes of a blob, a log or a program's output in one message.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// Unread bytes of one stream; also what one gets through per round trip.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 256 << 10;

/// Unread bytes of one connection.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// Bytes a stream may have waiting to be sent.
pub(crate) const SEND_BUFFER_BYTES: usize = 256 << 10;

/// What is sent to find out whether large packets arrive: as much as a packet carries that is not split on the widest
/// links in use (jumbo frames).
pub(crate) const MAX_WIDE_BYTES: usize = 8_960;

/// Streams at once on one connection; a session and a renewal are two.
pub(crate) const MAX_STREAMS: u32 = 8;

/// Bytes of a request's headers.
pub(crate) const MAX_HEADER_BYTES: u32 = 16 << 10;

/// Connections of one agent to servers that do not lead.
pub(crate) const MAX_SPARES: usize = 8;

/// TLS handshakes at once; the others wait their turn.
pub(crate) const MAX_HANDSHAKES: usize = 256;

/// TLS handshakes at once of a server that does not lead; more are closed, for agents know the other servers.
pub(crate) const MAX_REDIRECTS: usize = 32;

/// Connections of strangers that are heard at once; the others wait their turn.
pub(crate) const MAX_STRANGERS: usize = 256;

/// Orders that may wait for one agent; when they are full, more are dropped, and come again.
pub(crate) const MAX_ORDERS: usize = 1_024;

/// Words of one agent that are read before control has room for them; then the next ones stay in the connection.
pub(crate) const MAX_WAITING: usize = 16;

/// Messages between a session's task and its connection.
pub(crate) const MAX_FRAMES: usize = 16;

/// Logs and programs open at once in the tasks of one agent.
pub(crate) const MAX_CALLS: usize = 64;

/// Batches of log lines, or pieces of input and output, on their way; when they are full, whoever writes waits.
pub(crate) const MAX_PIECES: usize = 4;

/// Blobs sent at once by one server; the others wait their turn.
pub(crate) const MAX_FETCHES: usize = 64;

/// Requests of other servers at once; more are turned away.
pub(crate) const MAX_TUNNELS: usize = 1_024;

/// The longest bulletin: a hundred thousand instances take a few MiB, packed.
pub const MAX_BULLETIN_BYTES: usize = 64 << 20;

/// How long a stranger's connection may last.
pub(crate) const STRANGER_PATIENCE: Duration = Duration::from_secs(20);

/// Between two pieces of a blob, before its source is given up.
pub(crate) const FETCH_STALL: Duration = Duration::from_secs(60);
