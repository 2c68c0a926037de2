//! What `/metrics` shows after this and that happened, and that the page about it is up to date.

use std::path::Path;
use std::time::Duration;

use sekisho_runtime::metrics::{
    AuthResult, BufferPlace, Class, CounterBackend, CountryData, Detection, Enforcement, Mechanism,
    Metrics, NO_NAME, Outcome, ReplyClass, Stage, Transport, UpstreamPhase, Verb, Verdict,
    describe,
};

/// The value of the one series that reads `series` in the exposition.
fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    metrics
        .encode(0)
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn the_page_of_metrics_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == describe(),
        "docs/metrics.md is stale; `make generate` writes it anew"
    );
}

#[test]
fn names_keep_to_the_conventions() {
    let page = describe();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches('|').count() == 5)
        .map(|line| {
            line.split('|')
                .map(|cell| cell.trim().trim_matches('`'))
                .collect()
        })
        .collect();
    assert!(rows.len() > 30, "{}", rows.len());
    for row in rows {
        let (name, kind, help) = (row[1], row[2], row[4]);
        assert!(
            name.starts_with("sekisho_") || name.starts_with("process_"),
            "{name}"
        );
        assert_eq!(
            kind == "counter",
            name.ends_with("_total"),
            "{name} is a {kind}"
        );
        assert!(
            !name.contains("milli") && !name.contains("_ms"),
            "{name}: base units only"
        );
        assert!(help.ends_with('.'), "{name}: {help}");
    }
}

#[test]
fn handles_count_where_they_should() {
    let metrics = Metrics::new();
    let gateway = metrics.gateway("mail/outbound");
    gateway.command(Verb::Rcpt, ReplyClass::Transient);
    gateway.command(Verb::Rcpt, ReplyClass::Transient);
    gateway.auth(Mechanism::Login, AuthResult::SourceLocked);
    gateway.transaction(Outcome::Uncertain);
    gateway.detected(Detection::SenderMismatch);
    gateway
        .rule("RateLimit/mail/hourly")
        .decided(Stage::Rcpt, Verdict::Defer, Enforcement::Shadow);
    let pool = gateway.pool(NO_NAME);
    pool.message(Class::Clean, 4096);
    pool.phase(UpstreamPhase::Final, Duration::from_millis(30));
    metrics.counters_applied(CounterBackend::Memory, Duration::from_micros(3));
    let table = [
        (
            r#"sekisho_commands_total{gateway="mail/outbound",reply="4xx",verb="RCPT"}"#,
            2.0,
        ),
        (
            r#"sekisho_auth_total{gateway="mail/outbound",mechanism="LOGIN",result="source_locked"}"#,
            1.0,
        ),
        (
            r#"sekisho_transactions_total{gateway="mail/outbound",outcome="uncertain"}"#,
            1.0,
        ),
        (
            r#"sekisho_abuse_detections_total{gateway="mail/outbound",kind="sender_mismatch"}"#,
            1.0,
        ),
        (
            r#"sekisho_abuse_detections_total{gateway="mail/outbound",kind="decoy_account"}"#,
            0.0,
        ),
        (
            r#"sekisho_decisions_total{enforcement="shadow",gateway="mail/outbound",rule="RateLimit/mail/hourly",stage="rcpt",verdict="defer"}"#,
            1.0,
        ),
        (
            r#"sekisho_messages_total{class="clean",gateway="mail/outbound",pool="-"}"#,
            1.0,
        ),
        (
            r#"sekisho_message_bytes_total{class="clean",gateway="mail/outbound",pool="-"}"#,
            4096.0,
        ),
        (
            r#"sekisho_upstream_duration_seconds_bucket{gateway="mail/outbound",phase="final",pool="-",le="0.05"}"#,
            1.0,
        ),
        (
            r#"sekisho_counter_duration_seconds_sum{backend="memory"}"#,
            0.000_003,
        ),
    ];
    for (series, expected) in table {
        assert_eq!(value(&metrics, series), Some(expected), "{series}");
    }
    assert_eq!(
        value(
            &metrics,
            r#"sekisho_commands_total{gateway="mail/outbound",reply="2xx",verb="RCPT"}"#
        ),
        None
    );
}

#[test]
fn two_handles_for_one_gateway_share_their_series() {
    let metrics = Metrics::new();
    metrics.gateway("a/b").transaction(Outcome::Delivered);
    metrics
        .clone()
        .gateway("a/b")
        .transaction(Outcome::Delivered);
    let series = r#"sekisho_transactions_total{gateway="a/b",outcome="delivered"}"#;
    assert_eq!(value(&metrics, series), Some(2.0));
}

#[test]
fn guards_give_back_what_they_took() {
    let metrics = Metrics::new();
    let listener = metrics.gateway("a/b").listener("submission");
    let open = r#"sekisho_sessions_open{gateway="a/b",listener="submission"}"#;
    let held = r#"sekisho_buffered_bytes{place="memory"}"#;

    let mut session = listener.open_session(Transport::Plain);
    let other = listener.open_session(Transport::Implicit);
    assert_eq!(value(&metrics, open), Some(2.0));
    assert_eq!(listener.open_sessions(), 2);
    let mut buffered = metrics.buffered(BufferPlace::Memory);
    buffered.add(700);
    buffered.add(300);
    assert_eq!(value(&metrics, held), Some(1000.0));
    buffered.set(10);
    assert_eq!(value(&metrics, held), Some(10.0));

    session.secured(Transport::StartTls);
    drop((session, other, buffered));
    assert_eq!(value(&metrics, open), Some(0.0));
    assert_eq!(value(&metrics, held), Some(0.0));
    for (tls, ended) in [
        ("starttls", Some(1.0)),
        ("implicit", Some(1.0)),
        ("plain", None),
    ] {
        let series =
            format!(r#"sekisho_sessions_total{{gateway="a/b",listener="submission",tls="{tls}"}}"#);
        assert_eq!(value(&metrics, &series), ended, "{tls}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_password_check_waits_then_hashes() {
    let metrics = Metrics::new();
    let waiting = metrics.password_check();
    assert_eq!(
        value(&metrics, "sekisho_password_checks_waiting"),
        Some(1.0)
    );
    tokio::time::advance(Duration::from_secs(2)).await;
    let hashing = waiting.admitted();
    assert_eq!(
        value(&metrics, "sekisho_password_checks_waiting"),
        Some(0.0)
    );
    tokio::time::advance(Duration::from_secs(3)).await;
    drop(hashing);
    assert_eq!(
        value(&metrics, "sekisho_password_check_wait_seconds_sum"),
        Some(2.0)
    );
    assert_eq!(
        value(&metrics, "sekisho_password_check_duration_seconds_sum"),
        Some(3.0)
    );
}

#[test]
fn ages_are_worked_out_when_they_are_read() {
    let metrics = Metrics::new();
    let gateway = metrics.gateway("a/b");
    gateway.snapshot_loaded(1_780_000_000_123, 10_000);
    metrics.country_built(CountryData::Country, Some(5_000));
    let text = metrics.encode(12_500);
    for line in [
        r#"sekisho_proxy_config_age_seconds{gateway="a/b"} 2.5"#,
        r#"sekisho_snapshot_generation{gateway="a/b"} 1780000000123"#,
        r#"sekisho_country_database_age_seconds{data="country"} 7.5"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
    }
    gateway.snapshot_current(12_500);
    metrics.country_built(CountryData::Country, None);
    let text = metrics.encode(12_500);
    assert!(text.contains("sekisho_proxy_config_age_seconds{gateway=\"a/b\"} 0\n"));
    assert!(!text.contains("sekisho_country_database_age_seconds{"));
}

#[test]
fn objects_that_were_mended_leave_the_list() {
    let metrics = Metrics::new();
    metrics.invalid_objects([
        ("RateLimit", "mail", "hourly"),
        ("CountryRule", "mail", "abroad"),
    ]);
    metrics.invalid_objects([("CountryRule", "mail", "abroad")]);
    let text = metrics.encode(0);
    assert!(!text.contains("hourly"), "{text}");
    assert!(text.contains(
        r#"sekisho_config_object_invalid{kind="CountryRule",name="abroad",namespace="mail"} 1"#
    ));
}
