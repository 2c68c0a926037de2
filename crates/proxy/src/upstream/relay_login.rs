//! The proxy's own login at a relay. What a relay says of it is the operator's to read, and never the client's.

use sekisho_policy::snapshot::UpstreamTls;
use sekisho_smtp::{Capabilities, Reply};

use super::failure::Fault;
use super::handshake::Attempt;
use super::login::{Path, exchange, mechanism, path};
use super::wire::Wire;
use crate::gateway::Login;

impl Attempt<'_> {
    /// AUTH PLAIN, else LOGIN, over TLS that was verified or within this machine.
    ///
    /// # Errors
    /// [`Fault::LoginRefused`] if the relay does not want it; what failed otherwise.
    pub(super) async fn log_in(
        self,
        wire: &mut Wire,
        capabilities: &Capabilities,
        login: &Login,
    ) -> Result<(), Fault> {
        let mechanism = mechanism(capabilities).ok_or(Fault::RelayOffersNoLogin)?;
        if !may_carry_login(path(wire), self.lane.key.tls) {
            return Err(Fault::LoginInClear);
        }
        wire.check_silence()?;
        let reply = exchange(wire, mechanism, login.credentials(), self.until()).await;
        wire.forget_output();
        match reply {
            Ok(reply) => judge(discreet(reply, login)),
            Err(Fault::OutOfPlace(reply)) => Err(Fault::OutOfPlace(discreet(reply, login))),
            Err(fault) => Err(fault),
        }
    }
}

/// Encryption alone is not enough: whoever answers in the relay's place would be told the password.
fn may_carry_login(path: Path, tls: UpstreamTls) -> bool {
    match path {
        Path::Loopback => true,
        Path::Tls => tls == UpstreamTls::Required,
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
        Reply::plain(reply.code(), "(its words repeat the password)")
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
        ] {
            assert!(may_carry_login(Path::Loopback, tls));
            assert!(!may_carry_login(Path::Network, tls));
            assert_eq!(
                may_carry_login(Path::Tls, tls),
                tls == UpstreamTls::Required
            );
        }
    }

    #[test]
    fn words_that_repeat_the_password_are_left_out() {
        let login = Login::from_values("s", Some(b"gate"), Some(b"open sesame")).unwrap();
        let told = discreet(Reply::plain(535, "open sesame? no"), &login);
        assert_eq!(told.to_string(), "535 (its words repeat the password)");
        let kept = discreet(Reply::plain(535, "no"), &login);
        assert_eq!(kept.to_string(), "535 no");
    }
}
