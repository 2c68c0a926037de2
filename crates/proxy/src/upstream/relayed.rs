//! Logins whose exchange is passed on step by step: the client proves to the gateway's upstream what we never see.
//!
//! The upstream is not trusted more than the client is: each of its challenges is bounded, decoded, looked at and encoded anew, and it is
//! believed only where its mechanism can be over.

use std::sync::Arc;

use sekisho_policy::Account;
use sekisho_policy::snapshot::Mechanism;
use sekisho_runtime::metrics::UpstreamPhase;
use sekisho_smtp::Reply;
use sekisho_smtp::line::MAX_COMMAND;
use sekisho_smtp::sasl::{Secret, decode_base64, encode_base64};
use tokio::time::Instant;

use super::connection::Connection;
use super::deadlines::Until;
use super::discreet::without_response;
use super::failure::{Failure, Fault};
use super::group::{Freshness, Group, Wish};
use super::hops::NextHops;
use super::identity::{Caller, Own};
use super::login::{LoginAnswer, judge, may_carry_password, path, settle};
use crate::auth::{Failure as AuthFailure, Turn};

/// Octets of a challenge before it was encoded.
const MAX_CHALLENGE: usize = 1024;

/// A login under way, with the connection that it takes place on.
#[derive(Debug)]
pub(crate) struct RelayedLogin {
    group: Arc<Group>,
    own: Arc<Own>,
    mechanism: Mechanism,
    /// Gone once the exchange is over.
    connection: Option<Connection>,
    until: std::time::Duration,
}

impl NextHops {
    /// Begins an exchange with the gateway's upstream, on a connection that served nobody before. `initial` is what the client says
    /// first, where the mechanism lets it.
    ///
    /// # Errors
    /// It cannot be asked, or said no at once.
    pub(crate) async fn begin_login(
        &self,
        caller: &Caller,
        mechanism: Mechanism,
        initial: Option<&Secret>,
        deadline: Instant,
    ) -> Result<(RelayedLogin, Turn), Turn> {
        let own = caller.own();
        own.forget();
        let wish = Wish::to_log_in(caller);
        let group = self.shared_upstream();
        let opened = group
            .open(self.environment(), &wish, Freshness::New, deadline)
            .await
            .map_err(unavailable)?;
        let mut login = RelayedLogin {
            group: Arc::clone(group),
            own: Arc::clone(own),
            mechanism,
            connection: Some(opened.connection),
            until: self.environment().deadlines.hello,
        };
        match login.start(initial, deadline).await {
            Turn::Challenge(challenge) => Ok((login, Turn::Challenge(challenge))),
            turn => Err(turn),
        }
    }
}

impl RelayedLogin {
    async fn start(&mut self, initial: Option<&Secret>, deadline: Instant) -> Turn {
        let Some(connection) = &mut self.connection else {
            return Turn::Refused;
        };
        let name = self.mechanism.name();
        if !connection.capabilities.offers_auth(name) {
            return self.fail(Fault::MechanismNotOffered(name));
        }
        if !may_carry_password(path(&connection.wire), connection.lane.key.tls) {
            return self.fail(Fault::PasswordInClear);
        }
        if let Err(fault) = connection.wire.check_silence() {
            return self.fail(fault);
        }
        let encoded = initial.map(|initial| encode_base64(initial.expose()));
        let (command, later) = match &encoded {
            Some(response) if name.len() + response.expose().len() + 8 <= MAX_COMMAND => (
                [b"AUTH ", name.as_bytes(), b" ", response.expose(), b"\r\n"].concat(),
                None,
            ),
            later => (format!("AUTH {name}\r\n").into_bytes(), later.as_ref()),
        };
        let begun = match later {
            None => self.ask(&Secret::new(command), deadline).await,
            Some(response) => match self.ask(&Secret::new(command), deadline).await {
                Ok(reply) if reply.code() == 334 => self.ask(&line(response), deadline).await,
                begun => begun,
            },
        };
        match begun {
            Ok(reply) if reply.code() == 334 => self.challenge(&reply),
            Ok(reply) if reply.is_completion() => self.fail(Fault::OutOfPlace(discreet(&reply))),
            Ok(reply) => {
                let said = initial.map_or(&[][..], |initial| initial.expose());
                self.refuse(without_response(reply, said))
            }
            Err(fault) => self.fail(fault),
        }
    }

    /// Passes on the client's answer. SCRAM's last words of the server are answered here: the client hears them only when it is sure to
    /// be let in.
    pub(crate) async fn respond(
        &mut self,
        account: &Account,
        response: &Secret,
        deadline: Instant,
    ) -> Turn {
        let reply = match self
            .ask(&line(&encode_base64(response.expose())), deadline)
            .await
        {
            Ok(reply) => reply,
            Err(fault) => return self.fail(fault),
        };
        let scram = self.mechanism == Mechanism::ScramSha256;
        match reply.code() {
            334 if scram => match self.challenge(&reply) {
                Turn::Challenge(words) if words.expose().starts_with(b"v=") => {
                    self.finish(account, words, deadline).await
                }
                // The server says in SCRAM's own words that it does not believe the client.
                Turn::Challenge(words) if words.expose().starts_with(b"e=") => {
                    self.connection = None;
                    Turn::Refused
                }
                Turn::Challenge(_) => self.fail(Fault::OutOfPlace(discreet(&reply))),
                turn => turn,
            },
            235 if !scram => self.accept(account, None),
            // Without its last words the client could not tell that the server knew the password.
            235 | 334 => self.fail(Fault::OutOfPlace(discreet(&reply))),
            _ => self.refuse(without_response(reply, response.expose())),
        }
    }

    async fn finish(&mut self, account: &Account, words: Secret, deadline: Instant) -> Turn {
        match self.ask(&line(&Secret::default()), deadline).await {
            Ok(reply) if reply.code() == 235 => self.accept(account, Some(words)),
            Ok(reply) if reply.code() == 334 => self.fail(Fault::OutOfPlace(discreet(&reply))),
            Ok(reply) => self.refuse(reply),
            Err(fault) => self.fail(fault),
        }
    }

    async fn ask(&mut self, octets: &Secret, deadline: Instant) -> Result<Reply, Fault> {
        let connection = self.connection.as_mut().ok_or(Fault::Closed)?;
        let until = Until::first(self.until, deadline);
        let reply = connection.wire.ask(octets.expose(), until).await;
        connection.wire.forget_output();
        let reply = reply?;
        // One reply for one line: what comes beside it would be taken for the answer to the next.
        if reply.code() == 334 {
            connection.wire.check_silence()?;
        }
        Ok(reply)
    }

    fn challenge(&mut self, reply: &Reply) -> Turn {
        let [text] = reply.lines() else {
            return self.fail(Fault::OutOfPlace(discreet(reply)));
        };
        match decode_base64(text.as_bytes()) {
            Ok(challenge) if challenge.expose().len() <= MAX_CHALLENGE => {
                Turn::Challenge(challenge)
            }
            Ok(_) => self.fail(Fault::Protocol(sekisho_smtp::Error::LineTooLong)),
            Err(error) => self.fail(Fault::Protocol(error)),
        }
    }

    fn accept(&mut self, account: &Account, last: Option<Secret>) -> Turn {
        let Some(connection) = self.connection.take() else {
            return Turn::Refused;
        };
        settle(connection, &self.own);
        Turn::Proven {
            account: account.clone(),
            last,
        }
    }

    fn refuse(&mut self, reply: Reply) -> Turn {
        match judge(reply) {
            Ok(LoginAnswer::Refused) => {
                if let Some(connection) = self.connection.take() {
                    connection.wire.say_goodbye();
                }
                Turn::Refused
            }
            Ok(LoginAnswer::Accepted) => self.fail(Fault::Unsolicited),
            Err(fault) => self.fail(fault),
        }
    }

    fn fail(&mut self, fault: Fault) -> Turn {
        let failure = match self.connection.take() {
            Some(connection) => Failure::at(connection.hop, UpstreamPhase::Auth, fault),
            None => Failure::nowhere(None, fault),
        };
        unavailable(self.group.counted(failure))
    }
}

fn unavailable(failure: Failure) -> Turn {
    Turn::Unavailable(AuthFailure::Upstream(failure))
}

fn line(response: &Secret) -> Secret {
    Secret::new([response.expose(), b"\r\n"].concat())
}

/// The reply for logs: a challenge, or what stands in the place of one, is part of the exchange.
fn discreet(reply: &Reply) -> Reply {
    if reply.is_intermediate() || reply.is_completion() {
        Reply::plain(reply.code(), "(its words are part of the exchange)")
    } else {
        reply.clone()
    }
}
