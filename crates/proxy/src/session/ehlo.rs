//! EHLO and HELO: who the client says it is, and what we offer.

use std::sync::Arc;

use sekisho_policy::event::{HeloForm, Stage};
use sekisho_runtime::metrics::Detection;
use sekisho_smtp::command::ClientName;
use sekisho_smtp::ehlo::{Limits, SizeLimit};
use sekisho_smtp::grammar::Greeting;
use sekisho_smtp::{Capabilities, Reply, xclient};

use super::io::Gone;
use super::stream::Transport;
use super::{Flow, Session};
use crate::received::literal;
use crate::upstream::least;

impl<S: Transport> Session<S> {
    pub(super) async fn ehlo(&mut self, name: ClientName) -> Result<Flow, Gone> {
        self.meet(name, Greeting::Ehlo).await;
        let greeting = format!("greets {}", literal(self.facts.source.ip));
        let reply = self
            .offers()
            .to_reply(self.shared.host_name.as_str(), &greeting);
        Ok(self.say(&reply))
    }

    pub(super) async fn helo(&mut self, name: ClientName) -> Result<Flow, Gone> {
        self.meet(name, Greeting::Helo).await;
        Ok(self.say(&Reply::plain(
            250,
            self.shared.host_name.as_str().to_owned(),
        )))
    }

    async fn meet(&mut self, name: ClientName, greeting: Greeting) {
        self.tally.idle_commands += 1;
        self.abandon().await;
        let form = HeloForm::of(name.as_str(), Some(self.shared.host_name.as_str()));
        if form.is_odd() {
            self.shared.metrics.detected(Detection::BadHelo);
        }
        let facts = Arc::make_mut(&mut self.facts);
        facts.helo = Some(name.as_str().into());
        facts.helo_form = form;
        self.grammar.greeted(greeting);
        self.identify();
    }

    /// What works now, on this connection, for this client.
    fn offers(&self) -> Capabilities {
        let live = self.live();
        let limits = live.rules.message_limits(&self.event(Stage::Mail));
        let auth = if self.grammar.offers_auth() {
            self.mechanisms(&live)
        } else {
            Vec::new()
        };
        let xclient = if self.grammar.offers_xclient() {
            xclient::ATTRIBUTES.as_slice()
        } else {
            &[]
        };
        // What a next hop lacks and we cannot make up for is not offered.
        let hops = live.hops.offers();
        let size = least(limits.max_size, hops.size);
        Capabilities {
            size: Some(size.map_or(SizeLimit::Unstated, SizeLimit::Octets)),
            pipelining: true,
            eight_bit_mime: hops.eight_bit_mime,
            smtputf8: hops.smtputf8,
            dsn: hops.dsn,
            starttls: self.grammar.offers_starttls(),
            enhanced_status_codes: true,
            chunking: true,
            auth: auth
                .iter()
                .map(|mechanism| mechanism.name().to_owned())
                .collect(),
            xclient: xclient
                .iter()
                .map(|attribute| (*attribute).to_owned())
                .collect(),
            limits: Limits {
                mail: Some(live.rules.gateway().limits.transactions_per_session),
                rcpt: least(limits.max_recipients, hops.recipients),
                rcpt_domain: None,
            },
        }
    }
}
