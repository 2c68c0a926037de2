//! Sessions, from the handshake to the login.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use super::UPSTREAM_BUCKETS;
use crate::metrics::family::{Registrar, closed, object};
use crate::metrics::labels::{
    AuthResult, BufferPlace, HandshakeError, LoginAnswer, LoginService, Mechanism, ReplyClass,
    Transport, Verb,
};

#[derive(Debug)]
pub(in crate::metrics) struct Sessions {
    pub(in crate::metrics) ended: IntCounterVec,
    pub(in crate::metrics) open: IntGaugeVec,
    pub(in crate::metrics) handshake_errors: IntCounterVec,
    pub(in crate::metrics) commands: IntCounterVec,
    pub(in crate::metrics) auth: IntCounterVec,
    pub(in crate::metrics) login_services: IntCounterVec,
    pub(in crate::metrics) login_service_time: HistogramVec,
    pub(in crate::metrics) buffered: IntGaugeVec,
}

impl Sessions {
    pub(super) fn register(r: &Registrar) -> Self {
        Self {
            ended: r.counters(
                "sekisho_sessions_total",
                &[object("gateway"), object("listener"), closed::<Transport>("tls")],
                "SMTP sessions that ended, by how they were protected then.",
            ),
            open: r.gauges(
                "sekisho_sessions_open",
                &[object("gateway"), object("listener")],
                "SMTP sessions open now.",
            ),
            handshake_errors: r.counters(
                "sekisho_tls_handshake_errors_total",
                &[object("gateway"), object("listener"), closed::<HandshakeError>("kind")],
                "TLS handshakes with clients that failed.",
            ),
            commands: r.counters(
                "sekisho_commands_total",
                &[object("gateway"), closed::<Verb>("verb"), closed::<ReplyClass>("reply")],
                "SMTP commands received, by the first digit of the reply.",
            ),
            auth: r.counters(
                "sekisho_auth_total",
                &[object("gateway"), closed::<Mechanism>("mechanism"), closed::<AuthResult>("result")],
                "AUTH commands, by how they ended.",
            ),
            login_services: r.counters(
                "sekisho_login_service_requests_total",
                &[object("gateway"), closed::<LoginService>("service"), closed::<LoginAnswer>("answer")],
                "Logins that a web service, an identity provider's tokens or a cluster's tokens were to decide, by the answer.",
            ),
            login_service_time: r.histograms(
                "sekisho_login_service_duration_seconds",
                &[object("gateway"), closed::<LoginService>("service")],
                UPSTREAM_BUCKETS,
                "Time that such a decision took, whatever came of it.",
            ),
            buffered: r.gauges(
                "sekisho_buffered_bytes",
                &[closed::<BufferPlace>("place")],
                "Bytes of messages held until their verdict is known.",
            ),
        }
    }
}
