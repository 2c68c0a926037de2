//! Where logs go: standard error, as text for people or as JSON lines for collectors.

use std::io::IsTerminal as _;

use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::Error;

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Sends the events of this process that `filter` lets through (`info`, or `warn,sekisho_proxy=debug`) to
/// standard error.
///
/// # Errors
/// A filter that cannot be parsed, or logs that are set up already.
pub fn init(format: Format, filter: &str) -> Result<(), Error> {
    match format {
        Format::Text => text(filter, std::io::stderr, std::io::stderr().is_terminal())?.try_init(),
        Format::Json => json(filter, std::io::stderr)?.try_init(),
    }
    .map_err(|_| Error::LogsTwice)
}

fn text<W>(filter: &str, writer: W, colour: bool) -> Result<Dispatch, Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    Ok(tracing_subscriber::fmt()
        .with_env_filter(parse(filter)?)
        .with_ansi(colour)
        .with_writer(writer)
        .finish()
        .into())
}

fn json<W>(filter: &str, writer: W) -> Result<Dispatch, Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    Ok(tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(parse(filter)?)
        .with_writer(writer)
        .finish()
        .into())
}

fn parse(filter: &str) -> Result<EnvFilter, Error> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|source| Error::LogFilter {
            filter: filter.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn json_lines_are_flat_and_filtered() {
        let captured = Captured::default();
        let out = captured.clone();
        let guard = json("warn", move || out.clone()).unwrap().set_default();
        tracing::info!("not this");
        tracing::warn!(gateway = "mail/outbound", "this");
        drop(guard);
        let bytes = captured.0.lock().unwrap().clone();
        let lines: Vec<serde_json::Value> = bytes
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["level"], "WARN");
        assert_eq!(lines[0]["message"], "this");
        assert_eq!(lines[0]["gateway"], "mail/outbound");
    }

    #[test]
    fn a_bad_filter_is_named() {
        let error = init(Format::Text, "sekisho=loud").unwrap_err();
        assert!(error.to_string().contains("sekisho=loud"), "{error}");
    }
}
