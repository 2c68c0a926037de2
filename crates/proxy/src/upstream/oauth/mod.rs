//! Tokens that the proxy logs in to relays with (OAuth 2.0): fetched when one is needed, kept until shortly before their end.

mod fetch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_policy::snapshot::OAuth;
use sekisho_smtp::sasl::Secret;
use tokio::time::{Instant, timeout_at};

use super::failure::Fault;
use super::hops::Environment;
use crate::gateway::{Credentials, CredentialsPending, Login, value, visible};
pub(crate) use fetch::TokenError;

/// For one token, from the name of its endpoint to the last octet of the answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// A token is not used any more so long before its end, or in the last half of a short life.
const MARGIN: Duration = Duration::from_secs(60);
/// No token is kept for longer, whatever its endpoint says.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
/// The pause after a fetch that failed; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What tokens are asked for with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    username: String,
    id: String,
    secret: Secret,
    /// With it, the grant is that of a refresh token.
    refresh: Option<Secret>,
}

/// Where a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was there.
    Kept,
    /// It was fetched for the one who asked.
    Fetched,
}

/// The tokens of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<HashMap<OAuth, Arc<Place>>>);

/// One token. Whoever fetches holds the lock, and the others wait for what he gets.
type Place = tokio::sync::Mutex<State>;

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
struct Token {
    login: Login,
    until: Instant,
    /// What it was asked for with: a Secret that changed asks for another.
    client: Client,
}

#[derive(Debug)]
struct Trouble {
    error: Arc<TokenError>,
    failures: u32,
    until: Instant,
    client: Client,
}

impl Client {
    /// What a Secret holds now.
    ///
    /// # Errors
    /// It is not there, or lacks something.
    pub(super) fn of(
        credentials: &dyn Credentials,
        secret: &str,
    ) -> Result<Self, CredentialsPending> {
        let label = credentials.label(secret);
        let held = |key| credentials.value(secret, key);
        let (username, id, key) = (held("username"), held("client_id"), held("client_secret"));
        if username.is_none() && id.is_none() && key.is_none() {
            return Err(CredentialsPending::missing(label));
        }
        let username = username.as_deref().map(|octets| octets.trim_ascii());
        let id = id.as_deref().map(|octets| octets.trim_ascii());
        let key = key.as_deref().map(|octets| octets.trim_ascii());
        let refresh = held("refresh_token");
        let refresh = match &refresh {
            None => None,
            Some(token) => Some(visible(&label, "refresh_token", Some(token.trim_ascii()))?),
        };
        Ok(Self {
            username: visible(&label, "username", username)?.to_owned(),
            id: visible(&label, "client_id", id)?.to_owned(),
            secret: Secret::from(value(&label, "client_secret", key)?),
            refresh: refresh.map(Secret::from),
        })
    }
}

impl Tokens {
    /// A token that can be logged in with now.
    ///
    /// # Errors
    /// [`Fault::CredentialsPending`] while the Secret lacks something, [`Fault::Token`] if none could be had; for a while
    /// after that nobody is asked.
    pub(super) async fn login(
        &self,
        oauth: &OAuth,
        environment: &Environment,
        deadline: Instant,
    ) -> Result<(Login, Origin), Fault> {
        let client = Client::of(&*environment.credentials, &oauth.credentials)?;
        let place = self.place(oauth);
        let Ok(mut state) = timeout_at(deadline, place.lock()).await else {
            return Err(Fault::Deadline);
        };
        let now = Instant::now();
        if let Some(token) = &state.token
            && now < token.until
            && token.client == client
        {
            return Ok((token.login.clone(), Origin::Kept));
        }
        if let Some(trouble) = &state.trouble
            && now < trouble.until
            && trouble.client == client
        {
            return Err(Fault::Token(Arc::clone(&trouble.error)));
        }
        let until = (now + DEADLINE).min(deadline);
        let fetched = fetch::token(environment, oauth, &client, until).await;
        // That a message has no time left says nothing of the endpoint.
        if matches!(fetched, Err(TokenError::Timeout)) && until < now + DEADLINE {
            return Err(Fault::Deadline);
        }
        match fetched {
            Ok(granted) => {
                let login = Login::bearer(&client.username, granted.token);
                let life = granted.life.min(LONGEST_LIFE);
                state.trouble = None;
                state.token = Some(Token {
                    login: login.clone(),
                    until: Instant::now() + (life - MARGIN.min(life / 2)),
                    client,
                });
                Ok((login, Origin::Fetched))
            }
            Err(error) => Err(Fault::Token(state.failed(error, client, oauth))),
        }
    }

    /// The relay refused a token that was kept: the next login is with a new one.
    pub(super) async fn refused(&self, oauth: &OAuth, login: &Login) {
        let place = self.place(oauth);
        let mut state = place.lock().await;
        state.token.take_if(|token| token.login == *login);
    }

    /// Forgets the tokens of relays that are gone.
    pub(super) fn retain(&self, keeps: impl Fn(&OAuth) -> bool) {
        self.places().retain(|oauth, _| keeps(oauth));
    }

    fn place(&self, oauth: &OAuth) -> Arc<Place> {
        let mut places = self.places();
        if let Some(place) = places.get(oauth) {
            return Arc::clone(place);
        }
        Arc::clone(places.entry(oauth.clone()).or_default())
    }

    fn places(&self) -> MutexGuard<'_, HashMap<OAuth, Arc<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn failed(&mut self, error: TokenError, client: Client, oauth: &OAuth) -> Arc<TokenError> {
        let failures = self.trouble.as_ref().map_or(0, |trouble| trouble.failures);
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(16));
        let error = Arc::new(error);
        tracing::error!(endpoint = oauth.token_url, %error, "there is no token to log in to a relay with");
        self.token = None;
        self.trouble = Some(Trouble {
            error: Arc::clone(&error),
            failures: failures + 1,
            until: Instant::now() + pause.min(LONGEST_PAUSE),
            client,
        });
        error
    }
}
