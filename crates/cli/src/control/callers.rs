//! Callers as the API server knows them.

use sekisho_api::Answer;
use sekisho_api::fleet::{Caller, Callers, NotAdmitted, Wanted};
use sekisho_operator as operator;

/// Reviews tokens at the API server.
pub(super) struct Reviewed(pub(super) operator::Callers);

impl Callers for Reviewed {
    fn recall(&self, token: &str, wanted: Wanted<'_>) -> Option<Result<Caller, NotAdmitted>> {
        self.0.recall(token, gateway_of(wanted)).map(told)
    }

    fn was_good(&self, token: &str) -> bool {
        self.0.was_good(token)
    }

    fn identify<'a>(
        &'a self,
        token: &'a str,
        wanted: Wanted<'a>,
    ) -> Answer<'a, Result<Caller, NotAdmitted>> {
        Box::pin(async move { told(self.0.identify(token, gateway_of(wanted)).await) })
    }
}

fn gateway_of(wanted: Wanted<'_>) -> Option<&str> {
    match wanted {
        Wanted::Gateway(gateway) => Some(gateway),
        Wanted::Replica => None,
    }
}

fn told(answer: Result<operator::Caller, operator::NotAdmitted>) -> Result<Caller, NotAdmitted> {
    match answer {
        Ok(operator::Caller::Proxy { pod }) => Ok(Caller::Proxy { name: pod }),
        Ok(operator::Caller::Replica { pod }) => Ok(Caller::Replica { name: pod }),
        Err(operator::NotAdmitted::Unauthenticated(why)) => Err(NotAdmitted::Unauthenticated(why)),
        Err(operator::NotAdmitted::Forbidden(why)) => Err(NotAdmitted::Forbidden(why)),
        Err(operator::NotAdmitted::Unavailable(why)) => {
            tracing::warn!(why, "a caller could not be identified");
            Err(NotAdmitted::Unavailable(
                "the API server could not be asked whose token this is".to_owned(),
            ))
        }
    }
}
