//! Who is calling: the bearer token, looked at as little as possible until somebody vouches for it.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::problem::Problem;
use crate::state::Answer;

/// A service-account token has one to two KiB.
const LONGEST_TOKEN: usize = 8 * 1024;
/// Tokens that are asked about at once: a flood of wrong ones must not become a flood at the API server.
const ASKED_AT_ONCE: usize = 64;
const TURN_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Knows callers by their tokens. In a cluster that is the API server's TokenReview; whoever implements it keeps the
/// answers for a while, since each request is asked about.
pub trait Callers: Send + Sync {
    /// What is remembered of the token. It waits for nobody, so that a flood of wrong tokens does not keep out those whose
    /// tokens are known.
    fn recall(&self, _token: &str, _wanted: Wanted<'_>) -> Option<Result<Caller, NotAdmitted>> {
        None
    }

    /// Whether the token was good when it was last asked about, even if that is forgotten by now or does not hold any more.
    fn was_good(&self, _token: &str) -> bool {
        false
    }

    /// Whose token this is, if it may do what is wanted.
    fn identify<'a>(
        &'a self,
        token: &'a str,
        wanted: Wanted<'a>,
    ) -> Answer<'a, Result<Caller, NotAdmitted>>;
}

/// What a caller wants to be admitted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// To be a proxy of this gateway (`namespace/name`).
    Gateway(&'a str),
    /// To be a replica of the control plane.
    Replica,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A proxy of the gateway that it asked for.
    Proxy {
        /// Its pod.
        name: String,
    },
    /// A replica of the control plane.
    Replica {
        /// Its pod.
        name: String,
    },
}

/// Why somebody is not admitted, in words that may be told to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The token is nobody's: 401.
    Unauthenticated(String),
    /// It is somebody's who may not do this: 403.
    Forbidden(String),
    /// Nobody can tell now: 503.
    Unavailable(String),
}

impl From<NotAdmitted> for Problem {
    fn from(why: NotAdmitted) -> Self {
        match why {
            NotAdmitted::Unauthenticated(why) => Self::new(StatusCode::UNAUTHORIZED, why),
            NotAdmitted::Forbidden(why) => Self::forbidden(why),
            NotAdmitted::Unavailable(why) => Self::unavailable(why, 2),
        }
    }
}

/// The door.
pub(super) struct Admission {
    callers: Arc<dyn Callers>,
    /// For tokens that nobody has vouched for yet.
    turns: Semaphore,
    /// For those that were good a while ago: wrong ones do not stand in their way.
    renewals: Semaphore,
}

impl Admission {
    pub(super) fn new(callers: Arc<dyn Callers>) -> Self {
        Self {
            callers,
            turns: Semaphore::new(ASKED_AT_ONCE),
            renewals: Semaphore::new(ASKED_AT_ONCE),
        }
    }

    /// The name of the proxy, if it is one of this gateway's.
    pub(super) async fn proxy(
        &self,
        headers: &HeaderMap,
        gateway: &str,
    ) -> Result<String, Problem> {
        match self.identify(headers, Wanted::Gateway(gateway)).await? {
            Caller::Proxy { name } => Ok(name),
            Caller::Replica { .. } => Err(Problem::forbidden(
                "this is for proxies; a replica of the control plane has no gateway",
            )),
        }
    }

    /// The name of the replica.
    pub(super) async fn replica(&self, headers: &HeaderMap) -> Result<String, Problem> {
        match self.identify(headers, Wanted::Replica).await? {
            Caller::Replica { name } => Ok(name),
            Caller::Proxy { .. } => Err(Problem::forbidden(
                "this is for replicas of the control plane, not for proxies",
            )),
        }
    }

    async fn identify(&self, headers: &HeaderMap, wanted: Wanted<'_>) -> Result<Caller, Problem> {
        let token = shown_token(headers)?;
        if let Some(known) = self.callers.recall(token, wanted) {
            return Ok(known?);
        }
        let busy = || Problem::unavailable("too many callers are being identified", 2);
        let turns = match self.callers.was_good(token) {
            true => &self.renewals,
            false => &self.turns,
        };
        let turn = timeout(TURN_WITHIN, turns.acquire()).await;
        // The semaphore is never closed.
        let Ok(Ok(_turn)) = turn else {
            return Err(busy());
        };
        match timeout(ANSWER_WITHIN, self.callers.identify(token, wanted)).await {
            Ok(identified) => Ok(identified?),
            Err(_) => Err(Problem::unavailable(
                "nobody could say in time whose token this is",
                2,
            )),
        }
    }
}

/// The token, if it is written as one (RFC 6750, 2.1).
fn shown_token(headers: &HeaderMap) -> Result<&str, Problem> {
    let refused = |why: &str| Problem::new(StatusCode::UNAUTHORIZED, why);
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (shown.next(), shown.next()) else {
        return Err(refused(
            "show one projected service-account token as Authorization: Bearer",
        ));
    };
    if value.len() > LONGEST_TOKEN + "Bearer ".len() {
        return Err(refused("no token is that long"));
    }
    let token = value.to_str().ok().and_then(|value| value.split_once(' '));
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    match token {
        Some((scheme, token))
            if scheme.eq_ignore_ascii_case("bearer")
                && !token.is_empty()
                && token.bytes().all(allowed) =>
        {
            Ok(token)
        }
        _ => Err(refused(
            "this is not written as Authorization: Bearer TOKEN",
        )),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// Knows one token, knew another, and never comes to an end with those that it is asked about, but for that.
    struct Slow;

    impl Callers for Slow {
        fn recall(&self, token: &str, _: Wanted<'_>) -> Option<Result<Caller, NotAdmitted>> {
            let name = "a".to_owned();
            (token == "known").then_some(Ok(Caller::Proxy { name }))
        }

        fn was_good(&self, token: &str) -> bool {
            token == "renewed"
        }

        fn identify<'a>(
            &'a self,
            token: &'a str,
            _: Wanted<'a>,
        ) -> Answer<'a, Result<Caller, NotAdmitted>> {
            Box::pin(async move {
                if token != "renewed" {
                    std::future::pending::<()>().await;
                }
                let name = "b".to_owned();
                Ok(Caller::Proxy { name })
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_tokens_keep_no_right_one_waiting() {
        let admission = Arc::new(Admission::new(Arc::new(Slow)));
        let shown = |token: &str| {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
            HeaderMap::from_iter([(header::AUTHORIZATION, value)])
        };
        for n in 0..ASKED_AT_ONCE * 4 {
            let (admission, headers) = (admission.clone(), shown(&format!("wrong-{n}")));
            tokio::spawn(async move { admission.proxy(&headers, "mail/out").await.map(drop) });
        }
        while admission.turns.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let begun = tokio::time::Instant::now();
        for (token, name) in [("known", "a"), ("renewed", "b")] {
            let admitted = admission.proxy(&shown(token), "mail/out").await;
            assert_eq!(admitted.unwrap(), name);
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let stranger = admission
            .proxy(&shown("new"), "mail/out")
            .await
            .unwrap_err();
        assert_eq!(stranger.status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn tokens_are_read_strictly() {
        let shown = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            shown_token(&headers).map(str::to_owned).ok()
        };
        assert_eq!(shown(&["Bearer a.b-c_d"]).as_deref(), Some("a.b-c_d"));
        let (most, more) = ("a".repeat(LONGEST_TOKEN), "a".repeat(LONGEST_TOKEN + 1));
        assert!(shown(&[&format!("bearer {most}")]).is_some());
        assert!(shown(&[&format!("bearer {more}")]).is_none());
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Basic abc",
            "Bearer a b",
            "Bearer a,b",
            "Bearer  a",
        ] {
            assert!(shown(&[bad]).is_none(), "{bad:?}");
        }
        assert!(shown(&[]).is_none());
        assert!(shown(&["Bearer a", "Bearer b"]).is_none());
    }
}
