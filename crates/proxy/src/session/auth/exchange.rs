//! What the client sends within AUTH, until there is something to check.

use sekisho_policy::snapshot::Mechanism;
use sekisho_smtp::line::Expect;
use sekisho_smtp::sasl::{self, Credentials, Secret, ServerExchange, ServerStep, TokenMechanism};
use sekisho_smtp::{Error, Reply};
use tokio::time::Instant;

use super::super::Session;
use super::super::io::{Gone, Taken};
use super::super::stream::Transport;
use crate::auth::Presented;

impl<S: Transport> Session<S> {
    /// Lets the client say what a mechanism has to say in one go.
    pub(super) async fn exchange(
        &mut self,
        mechanism: Mechanism,
        initial: Option<Secret>,
    ) -> Result<Result<Presented, Error>, Gone> {
        match mechanism {
            Mechanism::Plain => self.passwords(sasl::Mechanism::Plain, initial).await,
            Mechanism::Login => self.passwords(sasl::Mechanism::Login, initial).await,
            Mechanism::Xoauth2 => self.token(TokenMechanism::Xoauth2, initial).await,
            Mechanism::Oauthbearer => self.token(TokenMechanism::Oauthbearer, initial).await,
            // Their exchanges are held elsewhere.
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus | Mechanism::CramMd5 => {
                Ok(Err(Error::SaslResponse))
            }
        }
    }

    async fn passwords(
        &mut self,
        mechanism: sasl::Mechanism,
        initial: Option<Secret>,
    ) -> Result<Result<Presented, Error>, Gone> {
        let credentials = self.credentials(mechanism, initial).await?;
        Ok(credentials.map(Presented::Password))
    }

    async fn credentials(
        &mut self,
        mechanism: sasl::Mechanism,
        initial: Option<Secret>,
    ) -> Result<Result<Credentials, Error>, Gone> {
        let (mut exchange, mut step) = match ServerExchange::start(mechanism, initial) {
            Ok(begun) => begun,
            Err(error) => return Ok(Err(error)),
        };
        let until = self.until(self.shared.limits.exchange);
        loop {
            let challenge = match step {
                ServerStep::Done(credentials) => return Ok(Ok(credentials)),
                ServerStep::Challenge(challenge) => challenge,
            };
            self.say(&Reply::plain(334, challenge));
            let response = self.response_by(until).await?;
            step = match response.and_then(|response| exchange.respond(&response)) {
                Ok(step) => step,
                Err(error) => return Ok(Err(error)),
            };
        }
    }

    async fn token(
        &mut self,
        mechanism: TokenMechanism,
        initial: Option<Secret>,
    ) -> Result<Result<Presented, Error>, Gone> {
        let message = self.first_message(initial).await?;
        let token = message.and_then(|message| mechanism.parse(&message));
        Ok(token.map(|token| Presented::Token(mechanism, token)))
    }

    /// What a client that speaks first says: on the command, or in answer to an empty challenge.
    pub(super) async fn first_message(
        &mut self,
        initial: Option<Secret>,
    ) -> Result<Result<Secret, Error>, Gone> {
        match initial {
            Some(initial) => Ok(Ok(initial)),
            None => {
                self.say(&Reply::plain(334, ""));
                self.response().await
            }
        }
    }

    /// The client's answer to a challenge.
    pub(super) async fn response(&mut self) -> Result<Result<Secret, Error>, Gone> {
        let until = self.until(self.shared.limits.exchange);
        self.response_by(until).await
    }

    pub(super) async fn response_by(
        &mut self,
        until: Instant,
    ) -> Result<Result<Secret, Error>, Gone> {
        loop {
            match self
                .wire
                .take_line(Expect::AuthResponse, sasl::read_response)
            {
                Taken::Line(response) => return Ok(response),
                Taken::Fault(error) => return Ok(Err(error)),
                Taken::Incomplete => self.more(until).await?,
            }
        }
    }
}
