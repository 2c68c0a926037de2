//! Exchanges in which the client proves that it knows the password, in answer to a challenge: held here by what an accounts file
//! keeps, or passed on step by step to a server that knows more.

use std::sync::PoisonError;

use sekisho_policy::Account;
use sekisho_policy::snapshot::Mechanism;
use sekisho_smtp::sasl::{ClientFirst, Secret};
use tokio::time::Instant;

use super::backends::{Asking, Backend};
use super::dovecot::Exchange;
use super::places::{Place, Purpose};
use super::scram::{Known, Scram, Shape, Verifier, draw_nonce};
use super::{AccountsFile, Backends, DovecotFault, Failure};
use crate::upstream::RelayedLogin;

/// What comes of one of the client's messages.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The client is asked this.
    Challenge(Secret),
    /// The client is this account. If there are last words, it must hear them, and answer with nothing, before it is told so.
    Proven {
        account: Account,
        last: Option<Secret>,
    },
    /// It is not, or there is no such account: nobody is told which.
    Refused,
    /// Who would know could not say.
    Unavailable(Failure),
    /// It is not, and somebody who could have known another account of that name could not be asked.
    Masked(Failure),
}

/// Who has seen what the client proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nobody who could tell whether it is right.
    Kept,
    /// A server behind us, or whoever keeps the account here.
    Shown,
}

/// A proof under way.
#[derive(Debug)]
pub(crate) struct Contest {
    held: Held,
    proof: Proof,
    /// A backend that comes before, and could not be asked.
    missed: Option<Failure>,
    _place: Option<Place>,
}

#[derive(Debug)]
enum Held {
    Here(Box<Scram>),
    Upstream(Box<RelayedLogin>),
    Dovecot(Box<Exchange>),
}

impl Contest {
    fn new(held: Held, place: Option<Place>) -> Self {
        Self {
            held,
            proof: Proof::Kept,
            missed: None,
            _place: place,
        }
    }

    fn here(scram: Scram) -> Self {
        Self::new(Held::Here(Box::new(scram)), None)
    }

    fn missing(self, missed: Option<Failure>) -> Self {
        Self { missed, ..self }
    }

    pub(crate) const fn proof(&self) -> Proof {
        self.proof
    }

    /// A no of whoever came first to hand is none of whoever could not be asked.
    fn refuse(&mut self) -> Turn {
        let of_known = matches!(&self.held, Held::Here(scram) if scram.is_of_known());
        match self.missed.take() {
            None => Turn::Refused,
            Some(failure) if of_known => Turn::Masked(failure),
            Some(failure) => Turn::Unavailable(failure),
        }
    }
}

/// What the client binds its proof to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound<'a> {
    /// Nothing.
    No,
    /// This data of the channel.
    To(&'a [u8]),
}

/// The beginning of an exchange: with a challenge, or `None` where the account is none of that backend's.
type Begun = Result<Option<(Contest, Secret)>, Failure>;

impl Backends {
    /// Takes the first message of SCRAM to the first backend that can go on with it. Where none can, an exchange is held with a
    /// stranger to its end: a challenge says nothing of who exists.
    ///
    /// # Errors
    /// Nobody could be asked.
    pub(crate) async fn start_scram(
        &self,
        first: &ClientFirst,
        message: &Secret,
        bound: Bound<'_>,
        asking: &Asking<'_>,
    ) -> Result<(Contest, Secret), Failure> {
        let account = self.canonical(&first.authentication);
        let channel = match bound {
            Bound::No => &[],
            Bound::To(channel) => channel,
        };
        let nonce = draw_nonce().map_err(|_| Failure::NoRandomness)?;
        let begin = |file: &AccountsFile| {
            let begun = file.start_scram(first, &account, channel, &nonce, asking.key);
            (Contest::here(begun.0), begun.1)
        };
        let (mut stranger, mut missed, mut disowned) = (None, None, false);
        for backend in &self.backends {
            if let Backend::AccountsFile(file) = backend {
                let begun = begin(file);
                if file.has(&account) {
                    return Ok((begun.0.missing(missed), begun.1));
                }
                stranger = stranger.or(Some(begun));
            } else if backend.relays() {
                let begun = if self.may_pass_on(backend, first, &account, bound) {
                    self.relay(backend, Mechanism::ScramSha256, Some(message), asking)
                        .await
                } else {
                    Ok(None)
                };
                match begun {
                    Ok(Some((contest, challenge))) => {
                        self.remember(Shape::of(&challenge, &first.nonce));
                        return Ok((contest.missing(missed), challenge));
                    }
                    Ok(None) => disowned = true,
                    Err(failure) => missed = Some(failure),
                }
            }
        }
        match missed {
            Some(failure) if stranger.is_none() && !disowned => Err(failure),
            missed => {
                let (contest, challenge) = self.stand_in(first, &account, stranger, asking)?;
                Ok((contest.missing(missed), challenge))
            }
        }
    }

    /// Whether a server behind us is asked about this client's proof.
    fn may_pass_on(
        &self,
        backend: &Backend,
        first: &ClientFirst,
        account: &Account,
        bound: Bound<'_>,
    ) -> bool {
        let name = &first.authentication;
        let wanted = first.header.authorization.as_ref();
        let is_ours = match backend {
            Backend::Upstream => self.upstream_is_asked_about(name, account),
            _ => true,
        };
        // It cannot be taken out of what is proven, and names that are alike here need not be so there.
        let for_itself = wanted.is_none_or(|wanted| wanted == name);
        is_ours && for_itself && matches!(bound, Bound::No)
    }

    /// An exchange with nobody: as a file holds it, or as the servers behind us do. Where there are both, each name has one of the two
    /// looks for good, so that neither look shows whose account it is.
    fn stand_in(
        &self,
        first: &ClientFirst,
        account: &Account,
        stranger: Option<(Contest, Secret)>,
        asking: &Asking<'_>,
    ) -> Result<(Contest, Secret), Failure> {
        let shape = *self.shape.lock().unwrap_or_else(PoisonError::into_inner);
        let as_there = asking.key.stand_in("scram look", 0, account)[0].is_multiple_of(2);
        let (like, nonce) = match (shape, stranger) {
            (Some(_), Some(stranger)) if !as_there => return Ok(stranger),
            (None, Some(stranger)) => return Ok(stranger),
            (Some(shape), _) => (Verifier::shaped(shape), shape.draw_nonce()),
            (None, None) => (Verifier::usual(), draw_nonce()),
        };
        let nonce = nonce.map_err(|_| Failure::NoRandomness)?;
        let known = Known::No(&like);
        let begun = Scram::start(first, account.clone(), &known, &[], &nonce, asking.key);
        Ok((Contest::here(begun.0), begun.1))
    }

    fn remember(&self, shape: Option<Shape>) {
        if shape.is_some() {
            *self.shape.lock().unwrap_or_else(PoisonError::into_inner) = shape;
        }
    }

    /// Has the first backend that can be asked make the challenge of CRAM-MD5: nobody knows yet whose it will be.
    pub(crate) async fn start_cram(&self, asking: &Asking<'_>) -> Option<(Contest, Secret)> {
        for backend in self.backends.iter().filter(|backend| backend.relays()) {
            match self.relay(backend, Mechanism::CramMd5, None, asking).await {
                Ok(Some(begun)) => return Some(begun),
                Ok(None) => {}
                Err(failure) => tracing::warn!(%failure, "no challenge for CRAM-MD5"),
            }
        }
        None
    }

    async fn relay(
        &self,
        backend: &Backend,
        mechanism: Mechanism,
        initial: Option<&Secret>,
        asking: &Asking<'_>,
    ) -> Begun {
        let place = asking.places.take(Purpose::Contest, asking.source);
        let place = Some(place.ok_or(Failure::Crowded)?);
        let (held, turn) = match backend {
            Backend::AccountsFile(_)
            | Backend::Http(_)
            | Backend::Oidc(_)
            | Backend::ServiceAccounts(_) => return Ok(None),
            Backend::Upstream => {
                let begun = asking
                    .hops
                    .begin_login(asking.caller, mechanism, initial, asking.deadline)
                    .await;
                match begun {
                    Ok((relayed, turn)) => (Held::Upstream(Box::new(relayed)), turn),
                    Err(turn) => return not_begun(turn),
                }
            }
            Backend::DovecotSasl(dovecot) => {
                let begun = dovecot
                    .begin(mechanism.name(), asking.client(), initial, asking.deadline)
                    .await;
                match begun {
                    Ok((exchange, turn)) => {
                        let exchange = exchange.known_by(self.domain());
                        (Held::Dovecot(Box::new(exchange)), turn)
                    }
                    Err(turn) => return not_begun(turn),
                }
            }
        };
        match turn {
            Turn::Challenge(challenge) => Ok(Some((Contest::new(held, place), challenge))),
            turn => not_begun(turn),
        }
    }

    /// Passes on what the client says, which calls itself `name`.
    pub(crate) async fn respond(
        &self,
        contest: &mut Contest,
        (name, account): (&str, &Account),
        response: &Secret,
        deadline: Instant,
    ) -> Turn {
        let is_asked = self.upstream_is_asked_about(name, account);
        contest.proof = match &contest.held {
            Held::Here(scram) if !scram.is_of_known() => Proof::Kept,
            Held::Upstream(_) if !is_asked => Proof::Kept,
            _ => Proof::Shown,
        };
        let turn = match &mut contest.held {
            Held::Here(scram) => scram.respond(response),
            Held::Upstream(_) if !is_asked => Turn::Refused,
            Held::Upstream(relayed) => relayed.respond(account, response, deadline).await,
            Held::Dovecot(exchange) => exchange.respond(response, deadline).await,
        };
        match turn {
            // Those accounts are the cluster's to give, by tokens.
            Turn::Proven { account, .. } if account.is_service_account() => contest.refuse(),
            Turn::Refused => contest.refuse(),
            turn => turn,
        }
    }
}

fn not_begun(turn: Turn) -> Begun {
    match turn {
        Turn::Refused | Turn::Challenge(_) => Ok(None),
        Turn::Unavailable(failure) | Turn::Masked(failure) => Err(failure),
        // Nothing was proven yet.
        Turn::Proven { .. } => {
            let fault = DovecotFault::Protocol("its protocol".to_owned(), "it accepts at once");
            Err(Failure::Dovecot(fault))
        }
    }
}
