//! One case: its steps in order, with counters and a clock of its own. The first step that is not as expected ends it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use sekisho_compile::files::{
    Act, Expect, Outage, Password, TestCase, TestClient, TestMessage, TestStep, numbered,
};
use sekisho_counters::{Counters, Limits};
use sekisho_policy::event::Network;
use sekisho_policy::record::Step;
use sekisho_policy::snapshot::Requirement;
use sekisho_policy::{Account, Restriction, Timestamp};
use sekisho_proxy::FleetKey;

use super::bench::Bench;
use super::compare::differences;
use super::compose::{Ends, compose};
use super::history;
use super::report::{Ended, Failure};
use super::seen::{Ending, Seen};
use crate::simulate::{Lookups, Session, Submission, Tallies, World, address};

/// Passwords are fingerprinted with this, so that every run counts alike.
const KEY: [u8; 32] = [0; 32];

/// Runs a case.
pub(super) async fn case(bench: &Bench, case: &TestCase) -> Ended {
    let mut run = Run {
        bench,
        counters: Counters::memory(Limits::default()),
        restricted: BTreeMap::new(),
        now: case.at,
        guesses: 0,
        key: FleetKey::new(KEY),
    };
    for step in &case.steps {
        match run.step(step).await {
            Ok(None) => {}
            Ok(Some(failure)) => return Ended::Failed(Box::new(failure)),
            Err(error) => {
                return Ended::Broken {
                    at: step.position.clone(),
                    why: format!("{error:#}"),
                };
            }
        }
    }
    Ended::Passed
}

struct Run<'a> {
    bench: &'a Bench,
    counters: Counters,
    /// What limits imposed on whom.
    restricted: BTreeMap<Account, Vec<Restriction>>,
    now: Timestamp,
    /// Passwords that were guessed so far.
    guesses: u32,
    key: FleetKey,
}

/// What happens within one connection.
enum Within<'a> {
    Nothing,
    Login(Password),
    Send(&'a TestMessage),
}

impl Run<'_> {
    /// Carries out a step; what is not as expected, if anything.
    async fn step(&mut self, step: &TestStep) -> Result<Option<Failure>> {
        let (client, within) = match &step.act {
            Act::Wait(span) => {
                self.now = self.now.plus(*span);
                return Ok(None);
            }
            Act::Connect(client) => (client, Within::Nothing),
            Act::Login(client, password) => (client, Within::Login(*password)),
            Act::Send(client, message) => (client, Within::Send(message)),
        };
        if let Some(expect) = &step.expect {
            self.bench.knows(expect)?;
        }
        for repetition in 1..=client.repeat {
            if repetition > 1 {
                self.now = self.now.plus(client.every);
            }
            let (steps, ending) = self.session(client, &within, repetition).await?;
            let failure = step
                .expect
                .as_ref()
                .and_then(|expect| self.judge(expect, steps, ending));
            if let Some(failure) = failure {
                let at = step.position.clone();
                return Ok(Some(Failure {
                    at,
                    repetition: (repetition, client.repeat),
                    ..failure
                }));
            }
        }
        Ok(None)
    }

    fn judge(&self, expect: &Expect, steps: Vec<Step>, ending: Ending) -> Option<Failure> {
        let seen = Seen::of(&self.bench.rules, &steps, ending);
        let differences = differences(expect, &seen);
        (!differences.is_empty()).then(|| Failure {
            at: None,
            repetition: (1, 1),
            differences,
            text: super::report::spoken(&self.bench.rules, &steps),
        })
    }

    /// One connection from its beginning to its end.
    async fn session(
        &mut self,
        test: &TestClient,
        within: &Within<'_>,
        repetition: u32,
    ) -> Result<(Vec<Step>, Ending)> {
        let client = self.bench.client(test, repetition, self.now)?;
        let account = self.bench.account(test, repetition);
        let message = match within {
            Within::Send(message) => Some(*message),
            Within::Nothing | Within::Login(_) => None,
        };
        if let (Network::KnownGood, Some(account)) = (test.network, &account) {
            history::make_known(
                &self.bench.rules,
                &self.counters,
                account,
                &client.source,
                self.now,
            )
            .await?;
        }
        let given = self.bench.given(test, message)?;
        let tallies = if test.outages.contains(&Outage::Counters) {
            Tallies::Out
        } else {
            Tallies::Counters(&self.counters)
        };
        let world = World {
            rules: &self.bench.rules,
            tallies,
            lookups: Lookups::Given(&given),
            config: Bench::config(test),
        };
        let restricted = account
            .as_ref()
            .and_then(|account| self.restricted.get(account));
        let mut session = Session::new(world, &client)
            .set(test.settings.clone())
            .restricted(restricted.cloned().unwrap_or_default());
        if !session.connect().await {
            return finish(session, Ending::NotSent);
        }
        let ending = match (within, &account) {
            (Within::Nothing, _) => Ending::Session,
            (Within::Login(password), Some(account)) => {
                log_in(
                    &mut session,
                    account,
                    *password,
                    &self.key,
                    &mut self.guesses,
                )
                .await
            }
            (Within::Login(_), None) => Ending::Session,
            (Within::Send(message), account) => {
                send(
                    &mut session,
                    self.bench,
                    message,
                    account.as_ref(),
                    repetition,
                )
                .await?
            }
        };
        if let Some(account) = account {
            let restrictions = session.restrictions().to_vec();
            self.restricted.insert(account, restrictions);
        }
        finish(session, ending)
    }
}

fn finish(session: Session<'_>, ending: Ending) -> Result<(Vec<Step>, Ending)> {
    let (steps, lacking) = session.into_parts();
    ensure!(
        lacking.is_empty(),
        "a rule asks for what the case does not say; give it {}",
        lacking.join("; and ")
    );
    Ok((steps, ending))
}

async fn log_in(
    session: &mut Session<'_>,
    account: &Account,
    password: Password,
    key: &FleetKey,
    guesses: &mut u32,
) -> Ending {
    let password = match password {
        Password::Right => {
            session.log_in(account).await;
            return Ending::Session;
        }
        Password::Wrong => "wrong".to_owned(),
        Password::Guessed => {
            *guesses += 1;
            format!("guess {guesses}")
        }
    };
    session
        .fail_to_log_in(account, key.fingerprint(account, password.as_bytes()))
        .await;
    Ending::WrongPassword
}

async fn send(
    session: &mut Session<'_>,
    bench: &Bench,
    message: &TestMessage,
    account: Option<&Account>,
    repetition: u32,
) -> Result<Ending> {
    match account {
        Some(account) if !session.log_in(account).await => return Ok(Ending::NotSent),
        None if bench.rules.gateway().authentication.requirement == Requirement::Required => {
            return Ok(Ending::LoginRequired);
        }
        _ => {}
    }
    let sender = match &message.sender {
        Some(sender) => numbered(sender, repetition),
        None => account
            .context("say the sender of a message without an account")?
            .to_string(),
    };
    let recipients: Vec<String> = message
        .to
        .iter()
        .map(|recipient| numbered(recipient, repetition))
        .collect();
    let first = recipients.first().map_or("", String::as_str);
    let from = account.map_or_else(|| sender.clone(), ToString::to_string);
    let composed = compose(
        &message.content,
        &Ends {
            from: &from,
            to: first,
        },
        repetition,
    )?;
    let submission = Submission {
        sender: if sender.is_empty() || sender == "<>" {
            None
        } else {
            Some(address(&sender)?)
        },
        recipients: recipients
            .iter()
            .map(|recipient| address(recipient))
            .collect::<Result<_>>()?,
        message: &composed,
    };
    Ok(if session.send(submission).await {
        Ending::Sent
    } else {
        Ending::NotSent
    })
}
