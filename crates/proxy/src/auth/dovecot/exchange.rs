//! One login at Dovecot, step by step.

use sekisho_policy::Account;
use sekisho_smtp::sasl::{Secret, TokenMechanism, decode_base64, encode_base64};
use tokio::time::Instant;

use super::answer::Reply;
use super::link::Request;
use super::request;
use super::{Checked, DovecotFault};
use crate::auth::{Failure, Turn};

/// An exchange under way. Dropped before its end, it is cancelled.
#[derive(Debug)]
pub(crate) struct Exchange {
    request: Request,
    default_domain: Option<String>,
    /// Steps that Dovecot asked for.
    steps: u8,
}

/// Challenges of one exchange: SCRAM has two.
const MAX_STEPS: u8 = 3;

impl Exchange {
    pub(super) fn new(request: Request) -> Self {
        Self {
            request,
            default_domain: None,
            steps: 0,
        }
    }

    /// What names of accounts lack.
    pub(in crate::auth) fn known_by(mut self, default_domain: Option<&str>) -> Self {
        self.default_domain = default_domain.map(Into::into);
        self
    }

    /// Passes on what the client says. What Dovecot sends as SCRAM's last words it wants answered: that is done here, so that the
    /// client hears them only when it is sure to be let in.
    pub(in crate::auth) async fn respond(&mut self, response: &Secret, deadline: Instant) -> Turn {
        let line = self.next(response);
        match self.ask(line, deadline).await {
            Turn::Challenge(words) if words.expose().starts_with(b"v=") => {
                let line = self.next(&Secret::default());
                match self.ask(line, deadline).await {
                    Turn::Proven { account, .. } => Turn::Proven {
                        account,
                        last: Some(words),
                    },
                    Turn::Challenge(_) => self.fault("it asks again after its last words"),
                    turn => turn,
                }
            }
            turn => turn,
        }
    }

    /// A token is over with one answer, or with a challenge that says why not, and the end after it.
    pub(super) async fn judge_token(
        mut self,
        mechanism: TokenMechanism,
        turn: Turn,
        deadline: Instant,
    ) -> Checked {
        let turn = match turn {
            Turn::Challenge(_) => {
                let line = self.next(&Secret::new(mechanism.acknowledgement().to_vec()));
                match self.ask(line, deadline).await {
                    Turn::Proven { .. } => self.fault("it accepts what it refused"),
                    turn => turn,
                }
            }
            turn => turn,
        };
        self.judge(turn)
    }

    /// PLAIN is over with one answer.
    pub(super) fn judge(mut self, turn: Turn) -> Checked {
        match turn {
            Turn::Proven { account, .. } => Checked::Accepted(account.as_str().to_owned()),
            Turn::Refused => Checked::Refused,
            Turn::Unavailable(Failure::Dovecot(fault)) => Checked::Unavailable(fault),
            Turn::Unavailable(_) | Turn::Masked(_) => Checked::Unavailable(DovecotFault::Closed),
            Turn::Challenge(_) => match self.fault("it asks for more than the mechanism has") {
                Turn::Unavailable(Failure::Dovecot(fault)) => Checked::Unavailable(fault),
                _ => Checked::Unavailable(DovecotFault::Closed),
            },
        }
    }

    pub(super) async fn ask(&mut self, line: Secret, deadline: Instant) -> Turn {
        let unavailable = |fault| Turn::Unavailable(Failure::Dovecot(fault));
        if line.expose().len() > request::MAX_REQUEST {
            return unavailable(DovecotFault::TooLong);
        }
        let answer = match self.request.ask(line, deadline).await {
            Ok(answer) => answer,
            Err(fault) => return unavailable(fault),
        };
        match answer {
            Reply::Continue { challenge, .. } => self.challenge(&challenge),
            Reply::Accepted { user, response, .. } => {
                self.request.over();
                let last = response
                    .as_deref()
                    .map(|words| decode_base64(words.as_bytes()));
                match last.transpose() {
                    Ok(last) => Turn::Proven {
                        account: Account::canonical(&user, self.default_domain.as_deref()),
                        last,
                    },
                    Err(_) => self.fault("its last words are no base64"),
                }
            }
            Reply::Refused { .. } => {
                self.request.over();
                Turn::Refused
            }
            Reply::Temporary { .. } => {
                self.request.over();
                unavailable(DovecotFault::Temporary)
            }
        }
    }

    fn challenge(&mut self, challenge: &str) -> Turn {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return self.fault("it never stops asking");
        }
        match decode_base64(challenge.as_bytes()) {
            Ok(challenge) => Turn::Challenge(challenge),
            Err(_) => self.fault("its challenge is no base64"),
        }
    }

    fn next(&self, response: &Secret) -> Secret {
        request::continue_line(self.request.id(), &encode_base64(response.expose()))
    }

    fn fault(&mut self, what: &'static str) -> Turn {
        let fault = DovecotFault::Protocol("its protocol".to_owned(), what);
        Turn::Unavailable(Failure::Dovecot(fault))
    }
}
