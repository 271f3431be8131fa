//! A connection as one call uses it: with its token, and with whether a member without a leader will do.

use tonic::metadata::{Ascii, MetadataValue};
use tonic::{IntoRequest, Request};

use super::connection::Connection;
use super::wire::auth_client::AuthClient;
use super::wire::cluster_client::ClusterClient;
use super::wire::kv_client::KvClient;
use super::wire::lease_client::LeaseClient;
use super::wire::maintenance_client::MaintenanceClient;
use super::wire::watch_client::WatchClient;

/// A page of a list can be large: the first holds a few entries only, see [`super::read`].
const MAX_ANSWER_BYTES: usize = 1 << 30;

/// What etcd gives for name and password.
pub(super) type Token = MetadataValue<Ascii>;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Line {
    connection: Connection,
    token: Option<Token>,
    needs_leader: bool,
}

impl Line {
    pub(super) const fn new(connection: Connection, token: Option<Token>, needs_leader: bool) -> Self {
        Self { connection, token, needs_leader }
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) const fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// A message with what goes along with it.
    pub(super) fn request<T>(&self, message: impl IntoRequest<T>) -> Request<T> {
        let mut request = message.into_request();
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        if self.needs_leader {
            // A member that is cut off from the leader then refuses at once, and ends streams.
            request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        }
        request
    }

    pub(super) fn kv(&self) -> KvClient<Connection> {
        KvClient::with_origin(self.connection.clone(), self.connection.origin())
            .max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(super) fn watch(&self) -> WatchClient<Connection> {
        WatchClient::with_origin(self.connection.clone(), self.connection.origin())
            .max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(super) fn lease(&self) -> LeaseClient<Connection> {
        LeaseClient::with_origin(self.connection.clone(), self.connection.origin())
    }

    pub(super) fn cluster(&self) -> ClusterClient<Connection> {
        ClusterClient::with_origin(self.connection.clone(), self.connection.origin())
    }

    pub(super) fn maintenance(&self) -> MaintenanceClient<Connection> {
        MaintenanceClient::with_origin(self.connection.clone(), self.connection.origin())
    }

    pub(super) fn auth(&self) -> AuthClient<Connection> {
        AuthClient::with_origin(self.connection.clone(), self.connection.origin())
    }
}
