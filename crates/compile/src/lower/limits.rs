//! `limits` of `MailGateway`.

use sekisho_crd as crd;
use sekisho_policy::snapshot::{GatewayLimits, Tarpit, TarpitMode};

use super::shared::millis;

pub(super) fn limits(spec: &crd::GatewayLimits) -> GatewayLimits {
    GatewayLimits {
        connections: spec.max_connections,
        connections_per_source: spec.max_connections_per_source,
        handshakes_per_source: spec.max_handshakes_per_source,
        source_ipv6_prefix: spec.source_ipv6_prefix,
        errors: spec.max_errors,
        idle_commands: spec.max_idle_commands,
        auth_attempts: spec.max_auth_attempts,
        refused_recipients: spec.max_refused_recipients,
        transactions_per_session: spec.transactions_per_session,
        session_duration: millis(&spec.max_session_duration),
        message_duration: millis(&spec.max_message_duration),
        min_bytes_per_second: spec.min_bytes_per_second,
        max_buffered_bytes: spec
            .max_buffered_bytes
            .as_ref()
            .map(crd::ByteSize::as_bytes),
        max_spooled_bytes: spec.max_spooled_bytes.as_bytes(),
        tarpit: tarpit(&spec.tarpit),
    }
}

fn tarpit(spec: &crd::Tarpit) -> Tarpit {
    Tarpit {
        mode: match spec.mode {
            crd::TarpitMode::Delay => TarpitMode::Delay,
            crd::TarpitMode::Never => TarpitMode::Never,
        },
        after: spec.after,
        delay: millis(&spec.delay),
        max_delay: millis(&spec.max_delay),
        max_percent: spec.max_percent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A snapshot that names no limits means what an object that names none means.
    #[test]
    fn both_sides_have_the_same_defaults() {
        assert_eq!(
            limits(&crd::GatewayLimits::default()),
            GatewayLimits::default()
        );
    }
}
