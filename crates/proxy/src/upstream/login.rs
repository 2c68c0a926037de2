//! Passwords and tokens asked of the gateway's upstream: AUTH relayed over a connection of the session's own.

use sekisho_policy::snapshot::{ClientIdentity as Passing, UpstreamTls};
use sekisho_runtime::metrics::UpstreamPhase;
use sekisho_smtp::sasl::{self, ClientExchange, Credentials, Mechanism, Secret, TokenMechanism};
use sekisho_smtp::{Capabilities, Reply};
use tokio::time::Instant;

use super::connection::{Bond, Connection};
use super::deadlines::Until;
use super::discreet::without_password;
use super::failure::{Failure, Fault};
use super::group::{Freshness, Wish};
use super::handshake::unexpected;
use super::hops::NextHops;
use super::identity::{Caller, Own};
use super::relay_login::converse;
use super::stream::Stream;
use super::wire::Wire;

/// What a client shows, and the upstream is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown<'a> {
    /// By AUTH PLAIN, else LOGIN.
    Password(&'a Credentials),
    /// By the mechanism that the client took; with the account as it wrote it.
    Token(TokenMechanism, &'a str, &'a Secret),
}

/// What the upstream says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginAnswer {
    /// It is right.
    Accepted,
    /// It is wrong, or there is no such account, or it is closed.
    Refused,
}

impl NextHops {
    /// Asks the gateway's upstream, on a connection that served nobody before.
    ///
    /// The connection stays with the caller and carries its messages from now on; only where the upstream takes the
    /// account's name by XCLIENT is it closed, since any connection will do then.
    ///
    /// What is secret crosses a network only under TLS, unless the upstream says `tls: Off`: an attacker who strips
    /// STARTTLS from an opportunistic connection gets no passwords. Loopback counts as no network.
    ///
    /// # Errors
    /// The upstream could not be asked, or did not say yes or no.
    pub(crate) async fn log_in(
        &self,
        caller: &Caller,
        shown: Shown<'_>,
        deadline: Instant,
    ) -> Result<LoginAnswer, Failure> {
        let own = caller.own();
        // A connection that was kept for this caller knows another login, or none.
        own.forget();
        let wish = Wish::to_log_in(caller);
        let group = self.upstream();
        let opened = group
            .open(self.environment(), &wish, Freshness::New, deadline)
            .await?;
        let mut connection = opened.connection;
        let started = Instant::now();
        let until = Until::first(self.environment().deadlines.hello, deadline);
        match ask(&mut connection, shown, until).await {
            Ok(LoginAnswer::Accepted) => {
                group.metrics.phase(UpstreamPhase::Auth, started.elapsed());
                settle(connection, own);
                Ok(LoginAnswer::Accepted)
            }
            Ok(LoginAnswer::Refused) => {
                group.metrics.phase(UpstreamPhase::Auth, started.elapsed());
                connection.wire.say_goodbye();
                Ok(LoginAnswer::Refused)
            }
            Err(fault) => {
                Err(group.counted(Failure::at(connection.hop, UpstreamPhase::Auth, fault)))
            }
        }
    }
}

/// What becomes of the connection that a login was accepted on.
pub(super) fn settle(mut connection: Connection, own: &Own) {
    if takes_login_by_xclient(&connection) {
        connection.wire.say_goodbye();
    } else {
        connection.bond = Bond::OneCaller;
        own.keep_login(connection);
    }
}

fn takes_login_by_xclient(connection: &Connection) -> bool {
    connection.lane.key.passing == Passing::Xclient
        && connection
            .capabilities
            .xclient
            .iter()
            .any(|attribute| attribute == "LOGIN")
}

async fn ask(
    connection: &mut Connection,
    shown: Shown<'_>,
    until: Until,
) -> Result<LoginAnswer, Fault> {
    let exchange = shown.start(&connection.capabilities)?;
    if !may_carry_password(path(&connection.wire), connection.lane.key.tls) {
        return Err(Fault::PasswordInClear);
    }
    connection.wire.check_silence()?;
    let reply = converse(&mut connection.wire, exchange, until).await;
    connection.wire.forget_output();
    let reply = match reply {
        Ok(reply) => shown.discreet(reply),
        Err(Fault::OutOfPlace(reply)) => return Err(Fault::OutOfPlace(shown.discreet(reply))),
        Err(fault) => return Err(fault),
    };
    connection.hop.reply = reply.to_string();
    judge(reply)
}

impl Shown<'_> {
    fn start(self, capabilities: &Capabilities) -> Result<(ClientExchange, Secret), Fault> {
        match self {
            Self::Password(credentials) => {
                let mechanism = mechanism(capabilities).ok_or(Fault::AuthNotOffered)?;
                Ok(ClientExchange::start(mechanism, &alone(credentials)))
            }
            Self::Token(mechanism, account, token) => {
                let name = mechanism.name();
                if capabilities.offers_auth(name) {
                    Ok(ClientExchange::start_token(mechanism, account, token))
                } else {
                    Err(Fault::MechanismNotOffered(name))
                }
            }
        }
    }

    /// A reply without words that repeat what is secret.
    fn discreet(self, reply: Reply) -> Reply {
        match self {
            Self::Password(credentials) => {
                let message = sasl::plain_message(&alone(credentials));
                without_password(reply, credentials.password.expose(), message.expose())
            }
            Self::Token(mechanism, account, token) => {
                let message = mechanism.message(account, token);
                without_password(reply, token.expose(), message.expose())
            }
        }
    }
}

/// Whom the client wants to act as was looked at before; what else the upstream made of it would be another's.
fn alone(credentials: &Credentials) -> Credentials {
    Credentials {
        authorization: None,
        ..credentials.clone()
    }
}

fn mechanism(capabilities: &Capabilities) -> Option<Mechanism> {
    [Mechanism::Plain, Mechanism::Login]
        .into_iter()
        .find(|mechanism| capabilities.offers_auth(mechanism.name()))
}

/// What lies between us and the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    Tls,
    Loopback,
    Network,
}

/// Loopback first: TLS over it adds nothing, and whether a relay there offers it must not matter.
pub(super) fn path(wire: &Wire) -> Path {
    if wire.stream().is_some_and(Stream::is_loopback) {
        Path::Loopback
    } else if wire.is_tls() {
        Path::Tls
    } else {
        Path::Network
    }
}

pub(super) fn may_carry_password(path: Path, tls: UpstreamTls) -> bool {
    path != Path::Network || tls == UpstreamTls::Off
}

/// 535 says that the password is wrong, 525 that the account is closed (RFC 5248). Every other refusal is about us, or
/// about now: it must not count as a wrong password.
pub(super) fn judge(reply: Reply) -> Result<LoginAnswer, Fault> {
    match reply.code() {
        235 => Ok(LoginAnswer::Accepted),
        525 | 535 => Ok(LoginAnswer::Refused),
        _ if reply.is_completion() || reply.is_intermediate() => Err(unexpected(reply)),
        _ => Err(Fault::Unwilling(reply)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_crosses_a_network_in_clear_only_if_the_operator_said_so() {
        for tls in [
            UpstreamTls::Off,
            UpstreamTls::Opportunistic,
            UpstreamTls::Required,
        ] {
            assert!(may_carry_password(Path::Tls, tls) && may_carry_password(Path::Loopback, tls));
            assert_eq!(
                may_carry_password(Path::Network, tls),
                tls == UpstreamTls::Off,
                "{tls:?}"
            );
        }
    }
}
