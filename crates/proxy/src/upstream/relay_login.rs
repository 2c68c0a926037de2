//! The proxy's own login at a relay. What a relay says of it is the operator's to read, and never the client's.

use sekisho_policy::snapshot::UpstreamTls;
use sekisho_smtp::sasl::{ClientExchange, ClientStep, Secret};
use sekisho_smtp::{Capabilities, Reply};

use super::deadlines::Until;
use super::failure::Fault;
use super::handshake::Attempt;
use super::login::{Path, path};
use super::wire::Wire;
use crate::gateway::Login;

impl Attempt<'_> {
    /// AUTH by the best mechanism that both sides have, over TLS that was verified or within this machine.
    ///
    /// # Errors
    /// [`Fault::LoginRefused`] if the relay does not want it; what failed otherwise.
    pub(super) async fn log_in(
        self,
        wire: &mut Wire,
        capabilities: &Capabilities,
        login: &Login,
    ) -> Result<(), Fault> {
        let exchange = login.start(|mechanism| capabilities.offers_auth(mechanism));
        let exchange = exchange.ok_or(Fault::RelayOffersNoLogin)?;
        if !may_carry_login(path(wire), self.lane.key.tls) {
            return Err(Fault::LoginInClear);
        }
        wire.check_silence()?;
        let reply = converse(wire, exchange, self.until()).await;
        wire.forget_output();
        match reply {
            Ok(reply) => judge(discreet(reply, login)),
            Err(Fault::OutOfPlace(reply)) => Err(Fault::OutOfPlace(discreet(reply, login))),
            Err(fault) => Err(fault),
        }
    }
}

/// Holds an exchange up to its end.
///
/// # Errors
/// [`Fault::OutOfPlace`] where the server asks for more than the mechanism has.
pub(super) async fn converse(
    wire: &mut Wire,
    (mut exchange, first): (ClientExchange, Secret),
    until: Until,
) -> Result<Reply, Fault> {
    let mut reply = wire.ask(first.expose(), until).await?;
    while reply.code() == 334 {
        reply = match exchange.answer() {
            ClientStep::Send(response) => wire.ask(response.expose(), until).await?,
            ClientStep::Cancel(octets) => {
                return Err(Fault::OutOfPlace(wire.ask(octets, until).await?));
            }
        };
    }
    Ok(reply)
}

/// Encryption alone is not enough: whoever answers in the relay's place would be told the password.
fn may_carry_login(path: Path, tls: UpstreamTls) -> bool {
    match path {
        Path::Loopback => true,
        Path::Tls => tls.is_verified(),
        Path::Network => false,
    }
}

fn judge(reply: Reply) -> Result<(), Fault> {
    match reply.code() {
        235 => Ok(()),
        400..=499 => Err(Fault::Unwilling(reply)),
        500..=599 => Err(Fault::LoginRefused(reply)),
        _ => Err(Fault::OutOfPlace(reply)),
    }
}

/// The relay's words, unless they repeat what nobody may see.
fn discreet(reply: Reply, login: &Login) -> Reply {
    if login.is_in(&reply.to_string()) {
        Reply::plain(reply.code(), "(its words repeat the secret)")
    } else {
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_needs_a_relay_that_proved_who_it_is() {
        for tls in [
            UpstreamTls::Off,
            UpstreamTls::Opportunistic,
            UpstreamTls::Required,
            UpstreamTls::Implicit,
        ] {
            assert!(may_carry_login(Path::Loopback, tls));
            assert!(!may_carry_login(Path::Network, tls));
            assert_eq!(
                may_carry_login(Path::Tls, tls),
                matches!(tls, UpstreamTls::Required | UpstreamTls::Implicit)
            );
        }
    }

    #[test]
    fn words_that_repeat_the_secret_are_left_out() {
        let login = Login::from_values("s", Some(b"gate"), Some(b"open sesame")).unwrap();
        let told = discreet(Reply::plain(535, "open sesame? no"), &login);
        assert_eq!(told.to_string(), "535 (its words repeat the secret)");
        let kept = discreet(Reply::plain(535, "no"), &login);
        assert_eq!(kept.to_string(), "535 no");
    }
}
