//! Who we are, to etcd: a token for name and password. etcd forgets tokens that were not used for five minutes, and
//! all of them when a member restarts.

use std::sync::{Arc, PoisonError, RwLock};

use tonic::{Code, Status};

use super::config::User;
use super::line::{Line, Token};
use super::wire::AuthenticateRequest;

/// The token in use, and the means to get another.
#[derive(Debug)]
pub(super) struct Tokens {
    user: Option<User>,
    current: RwLock<Option<Token>>,
    renewing: Arc<tokio::sync::Mutex<()>>,
}

impl Tokens {
    pub(super) fn new(user: Option<User>) -> Self {
        Self { user, current: RwLock::default(), renewing: Arc::default() }
    }

    pub(super) fn current(&self) -> Option<Token> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another token than the one `line` has. Callers that found the same one out of date cause one request.
    ///
    /// # Errors
    /// Unauthenticated when there is no user to be.
    pub(super) async fn renew(&self, line: &Line) -> Result<(), Status> {
        let Some(user) = &self.user else {
            return Err(Status::new(Code::Unauthenticated, "no user is configured"));
        };
        let _alone = self.renewing.lock().await;
        if self.current().as_ref() != line.token() {
            return Ok(());
        }
        let (name, password) = (user.name.clone(), user.password.clone());
        let answer = line.auth().authenticate(AuthenticateRequest { name, password }).await?;
        let token = answer.into_inner().token.parse();
        let mut token: Token = token.map_err(|_| Status::internal("etcd sent a token that is no header"))?;
        token.set_sensitive(true);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(())
    }
}
