//! How a session begins: what is known of the client, and what the listener demands of it.

use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::event::{BeforeGreeting, HeloForm, SessionFacts, Tls};
use sekisho_policy::snapshot::{Authentication, ListenerTls, Requirement};
use sekisho_runtime::metrics::{OpenSession, ReplyClass};
use sekisho_smtp::grammar::{self, AuthOver, Demand, Demands, Transport as Carrier, Xclient};
use sekisho_smtp::xclient::{Proto, Told};
use tokio::time::Instant;

use super::io::Wire;
use super::stream::{Stream, Transport};
use super::tally::Tally;
use super::{Ends, Session};
use crate::listener::Door;
use crate::listener::sources::Place;
use crate::shared::Shared;
use crate::upstream::{Caller, ClientIdentity};

impl<S: Transport> Session<S> {
    pub(crate) fn new(
        stream: Stream<S>,
        ends: Ends,
        door: Arc<Door>,
        shared: Arc<Shared>,
        (open, place): (OpenSession, Place),
    ) -> Self {
        let (carrier, tls) = match stream {
            Stream::Tls(_) => (Carrier::Tls, Tls::On),
            Stream::Plain(_) | Stream::Gone => (Carrier::Plain, Tls::Off),
        };
        let live = shared.live();
        let demands = demands(&door, ends, &live.rules.gateway().authentication);
        let facts = SessionFacts {
            listener: door.spec.name.as_str().into(),
            source: shared.source(ends.source.ip()),
            tls,
            helo: None,
            helo_form: HeloForm::Unsaid,
            before_greeting: BeforeGreeting::Silent,
        };
        let now = Instant::now();
        let lasts = Duration::from_millis(live.limits.session_duration.0);
        Self {
            wire: Wire::new(stream, live.memory.claim()),
            grammar: grammar::Session::new(demands, carrier),
            ends,
            name: Told::Unavailable,
            facts: Arc::new(facts),
            weighed: false,
            account: None,
            caller: Caller::new(stranger(ends)),
            transaction: None,
            tally: Tally::default(),
            ends_at: now + lasts.min(shared.limits.unproven),
            latest_end: now + lasts,
            limits: live.limits.clone(),
            open,
            place,
            said: ReplyClass::None,
            shared,
            door,
        }
    }
}

fn stranger(ends: Ends) -> ClientIdentity {
    ClientIdentity {
        source: ends.source,
        destination: ends.destination,
        name: Told::Unavailable,
        helo: None,
        proto: Proto::Esmtp,
        login: None,
    }
}

fn demands(door: &Door, ends: Ends, authentication: &Authentication) -> Demands {
    let trusted = door.trusts_xclient_from(ends.source.ip());
    let auth = match authentication.requirement {
        Requirement::Required => Demand::Required,
        Requirement::Optional if authentication.mechanisms.is_empty() => Demand::Off,
        Requirement::Optional => Demand::Offered,
    };
    let tls = match door.spec.tls {
        ListenerTls::Off => Demand::Off,
        // Who must log in must have TLS for it, and is told that first. A peer with XCLIENT brings its login along.
        ListenerTls::StartTls if auth == Demand::Required && !trusted => Demand::Required,
        ListenerTls::StartTls | ListenerTls::Implicit => Demand::Offered,
    };
    let auth_over = if door.spec.tls == ListenerTls::Off {
        AuthOver::AnyTransport
    } else {
        AuthOver::TlsOnly
    };
    Demands {
        tls,
        auth,
        auth_over,
        xclient: if trusted {
            Xclient::Trusted
        } else {
            Xclient::Refused
        },
    }
}
