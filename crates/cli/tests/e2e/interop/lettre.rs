//! lettre, the mail library of Rust programs.

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{SmtpTransport, Transport as _};

use super::programs::{Job, Listener, Said};
use crate::up::ACCOUNT;

/// Sends within this process.
pub(super) fn send(job: &Job<'_>) -> Said {
    match try_to_send(job) {
        Ok(said) => (true, said),
        Err(error) => (false, with_causes(error.as_ref())),
    }
}

fn try_to_send(job: &Job<'_>) -> Result<String, Box<dyn std::error::Error>> {
    let trusting = TlsParameters::builder("127.0.0.1".to_owned())
        .dangerous_accept_invalid_certs(true)
        .dangerous_accept_invalid_hostnames(true)
        .build()?;
    let tls = match job.listener {
        Listener::StartTls => Tls::Required(trusting),
        Listener::Implicit => Tls::Wrapper(trusting),
    };
    let mechanism = match job.mechanism {
        "LOGIN" => Mechanism::Login,
        "XOAUTH2" => Mechanism::Xoauth2,
        _ => Mechanism::Plain,
    };
    let transport = SmtpTransport::builder_dangerous("127.0.0.1")
        .port(job.port())
        .tls(tls)
        .authentication(vec![mechanism])
        .credentials(Credentials::new(
            ACCOUNT.to_owned(),
            job.password.to_owned(),
        ))
        .build();
    let recipients = job
        .recipients
        .iter()
        .map(|r| r.parse())
        .collect::<Result<_, _>>()?;
    let envelope = Envelope::new(Some(job.sender.parse()?), recipients)?;
    // It ends each message with a line end of its own.
    let message = job.message.strip_suffix(b"\r\n").unwrap_or(job.message);
    let response = transport.send_raw(&envelope, message)?;
    Ok(response.message().collect::<Vec<_>>().join("\n"))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
