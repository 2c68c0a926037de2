//! XCLIENT: a trusted peer (webmail, a content filter) tells whom it speaks for. The session starts over as that
//! client's (the Postfix XCLIENT protocol).

use std::sync::Arc;

use sekisho_policy::Account;
use sekisho_policy::event::{Checked, HeloForm};
use sekisho_runtime::metrics::Detection;
use sekisho_smtp::grammar::{Greeting, XclientLogin};
use sekisho_smtp::xclient::{Proto, Told, XclientAttributes};
use sekisho_smtp::{Refusal, Reply};

use super::io::Gone;
use super::stream::Transport;
use super::{Flow, Session};

impl<S: Transport> Session<S> {
    pub(super) async fn xclient(&mut self, attributes: XclientAttributes) -> Result<Flow, Gone> {
        self.tally.idle_commands += 1;
        self.abandon().await;
        if let Some(Told::Known(login)) = &attributes.login
            && Account::canonical(login, None).is_service_account()
        {
            // Those are the cluster's to give, by tokens.
            self.refuse(Refusal::new(
                501,
                (5, 5, 4),
                "This login is not taken from others",
            ));
            return Ok(Flow::Close);
        }
        if attributes.login == Some(Told::TemporarilyUnavailable) {
            // Nobody is let in on that.
            return Ok(self.say(&Reply::new(
                451,
                (4, 3, 0),
                "The login could not be found out; try again",
            )));
        }
        if let Some(Told::Unavailable | Told::TemporarilyUnavailable) = attributes.addr {
            // It speaks for somebody else from here on, and no rule could say of whom: neither the client before nor the peer is it.
            self.refuse(Refusal::new(
                501,
                (5, 5, 4),
                "A client is told of by its address; leave ADDR out to speak for yourself",
            ));
            return Ok(Flow::Close);
        }
        let (before, ends) = (self.facts.source.ip, self.ends);
        self.believe(&attributes);
        if self.ends != ends {
            self.caller.moved();
        }
        if let Err(crowded) = self.take_place() {
            return Ok(crowded);
        }
        let login = match attributes.login {
            // A login that was judged from one address is judged again from another.
            None if self.facts.source.ip != before && self.account.is_some() => {
                let account = self.account_name().map(ToString::to_string);
                if let Some(flow) = self.log_in_as(&account.unwrap_or_default()).await {
                    return Ok(flow);
                }
                XclientLogin::Given
            }
            Some(Told::Known(login)) => {
                // A connection that another account logged in over is not this one's.
                self.caller.forget_login();
                if let Some(flow) = self.log_in_as(&login).await {
                    return Ok(flow);
                }
                XclientLogin::Given
            }
            Some(Told::Unavailable | Told::TemporarilyUnavailable) => {
                self.caller.forget_login();
                self.account = None;
                XclientLogin::Cleared
            }
            None => XclientLogin::Untouched,
        };
        self.grammar.xclient_applied(login);
        self.identify();
        self.welcome().await
    }

    /// Counts the connection for the client that it is for now, and no longer for the peer that speaks for it.
    fn take_place(&mut self) -> Result<(), Flow> {
        let limits = self.shared.live().limits.clone();
        match self.place.attribute(self.ends.source.ip(), &limits) {
            Ok(()) => Ok(()),
            Err(_) => {
                self.shared.metrics.detected(Detection::TooManyConnections);
                Err(self.say(&Reply::new(
                    421,
                    (4, 3, 2),
                    "Too many connections; please try again later",
                )))
            }
        }
    }

    /// The peer has checked the password; whether the account may log in from there is still asked. `Some` if not. What others guess
    /// elsewhere is nothing to who has shown the peer that he is no guesser: the account's lock lets him pass.
    async fn log_in_as(&mut self, login: &str) -> Option<Flow> {
        let live = self.live();
        self.weigh_source();
        self.account = None;
        let name = Account::canonical(
            login,
            live.rules
                .gateway()
                .authentication
                .default_domain
                .as_deref(),
        );
        let asked = self.ask_to_let_in(&live, &name).await;
        let turned_away = if asked.verdict().refusal().is_some() {
            asked
        } else {
            let network = asked.decision().network;
            match self.admit(&live, name, network, Checked::ByPeer).await {
                Ok(()) => return None,
                Err(judged) => *judged,
            }
        };
        self.turn_away(&live, turned_away);
        // What the peer says next would be said for somebody who was not let in.
        Some(Flow::Close)
    }

    fn believe(&mut self, attributes: &XclientAttributes) {
        let known =
            |told: &Option<Told<std::net::IpAddr>>| told.as_ref().and_then(Told::known).copied();
        let port = |told: &Option<Told<u16>>| told.as_ref().and_then(Told::known).copied();
        if let Some(ip) = known(&attributes.addr) {
            self.ends.source.set_ip(ip.to_canonical());
            // A name told earlier was another client's.
            self.name = Told::Unavailable;
        }
        if let Some(port) = port(&attributes.port) {
            self.ends.source.set_port(port);
        }
        if let Some(ip) = known(&attributes.destaddr) {
            self.ends.destination.set_ip(ip.to_canonical());
        }
        if let Some(port) = port(&attributes.destport) {
            self.ends.destination.set_port(port);
        }
        if let Some(name) = &attributes.name {
            self.name = name.clone();
        }
        let source = self.shared.source(self.ends.source.ip());
        let facts = Arc::make_mut(&mut self.facts);
        if facts.source.ip != source.ip {
            facts.source = source;
            self.weighed = false;
        }
        match &attributes.helo {
            Some(Told::Known(helo)) => {
                facts.helo_form = HeloForm::of(helo.as_str(), Some(self.shared.host_name.as_str()));
                facts.helo = Some(helo.as_str().into());
            }
            Some(Told::Unavailable | Told::TemporarilyUnavailable) => {
                facts.helo = None;
                facts.helo_form = HeloForm::Unsaid;
            }
            None => {}
        }
    }

    /// Tells the upstream side what is known of the client now.
    pub(super) fn identify(&self) {
        let proto = match self.grammar.greeting() {
            Some(Greeting::Helo) => Proto::Smtp,
            Some(Greeting::Ehlo) | None => Proto::Esmtp,
        };
        self.caller.identify(crate::upstream::ClientIdentity {
            source: self.ends.source,
            destination: self.ends.destination,
            name: self.name.clone(),
            helo: self
                .facts
                .helo
                .as_deref()
                .and_then(sekisho_smtp::command::ClientName::new),
            proto,
            login: self.account_name().cloned(),
        });
    }
}
