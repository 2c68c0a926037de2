//! `POST /v1/records`: a proxy's records, as lines of JSON under zstd.

use std::io::Read;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use sekisho_policy::record::MAX_STEPS;
use sekisho_policy::snapshot::Kind;
use sekisho_policy::{ObjectRef, Record};
use sekisho_runtime::metrics::FleetRecords;
use tokio::time::timeout;

use super::books::{Batch, NotKept, Series};
use super::name::Asked;
use super::server::read_body;
use super::sources::Fleet;
use crate::problem::Problem;

/// The most octets of a batch as it is sent.
const MAX_PACKED: usize = 1 << 20;
/// The most octets of a batch unpacked.
const MAX_UNPACKED: usize = 8 << 20;
/// The most records of a batch.
const MAX_LINES: usize = 4096;
/// The most octets of one record.
const MAX_LINE: usize = 512 << 10;
/// The unpacker's memory is bounded by the window that a stream asks for: 8 MiB.
const MAX_WINDOW_LOG: u32 = 23;
const TURN_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn take(
    State(fleet): State<Fleet>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let gateway = asked.gateway()?;
    let (instance, first) = place(request.headers())?;
    let proxy = fleet.admission.proxy(request.headers(), &gateway).await?;
    let body = read_body(request, MAX_PACKED).await?;
    let records = unpack(&fleet, &gateway, body)
        .await
        .inspect_err(|problem| {
            if problem.status().is_client_error() {
                let metrics = &fleet.metrics;
                metrics.fleet_records(&gateway, FleetRecords::BatchRefused, 1);
            }
        })?;
    let series = Series {
        gateway,
        proxy,
        instance,
    };
    let batch = Batch {
        series,
        first,
        records: records.records,
        octets: records.octets,
    };
    match fleet.books.keep(batch).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(NotKept::Full) => Err(Problem::unavailable(
            "more records come than can be written; send these again",
            5,
        )),
        Err(NotKept::NotYet) => Err(Problem::unavailable(
            "these are not written yet; send them again",
            5,
        )),
        Err(NotKept::Nonsense) => Err(Problem::bad_request(
            "a sequence that goes over the end of 64 bits",
        )),
    }
}

/// What a batch holds.
#[derive(Debug)]
pub struct Unpacked {
    /// The records, in order.
    pub records: Vec<Record>,
    /// How long they were, unpacked.
    pub octets: usize,
}

async fn unpack(fleet: &Fleet, gateway: &str, body: Bytes) -> Result<Unpacked, Problem> {
    let turn = timeout(TURN_WITHIN, fleet.unpacking.clone().acquire_owned()).await;
    // The semaphore is never closed.
    let Ok(Ok(turn)) = turn else {
        return Err(Problem::unavailable(
            "too many batches are being unpacked",
            2,
        ));
    };
    let gateway = gateway.to_owned();
    let unpacked = tokio::task::spawn_blocking(move || {
        let unpacked = read(&body, &gateway);
        drop(turn);
        unpacked
    });
    match unpacked.await {
        Ok(Ok(unpacked)) => Ok(unpacked),
        Ok(Err(error)) => Err(refused(&error)),
        Err(_) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "these records could not be read",
        )),
    }
}

fn refused(error: &RecordsError) -> Problem {
    let status = match error {
        RecordsError::TooLong | RecordsError::TooMany | RecordsError::LongRecord { .. } => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        RecordsError::Foreign { .. } => StatusCode::FORBIDDEN,
        RecordsError::NotZstd(_) | RecordsError::Malformed { .. } | RecordsError::Steps { .. } => {
            StatusCode::BAD_REQUEST
        }
    };
    Problem::new(status, error.to_string())
}

/// Why a batch is not taken; nothing of it is.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    #[error("not zstd: {0}")]
    NotZstd(std::io::Error),
    #[error("a batch has at most {MAX_UNPACKED} octets unpacked")]
    TooLong,
    #[error("a batch has at most {MAX_LINES} records")]
    TooMany,
    #[error("line {line}: a record has at most {MAX_LINE} octets")]
    LongRecord { line: usize },
    #[error("line {line}: not a record: {source}")]
    Malformed {
        line: usize,
        source: serde_json::Error,
    },
    #[error("line {line}: a record has at most {MAX_STEPS} steps")]
    Steps { line: usize },
    #[error("line {line}: a record of {gateway}, which is not the gateway that this proxy is of")]
    Foreign { line: usize, gateway: String },
}

/// Reads a batch that a proxy of `gateway` sent.
///
/// # Errors
/// [`RecordsError`] names the line.
pub fn read(packed: &[u8], gateway: &str) -> Result<Unpacked, RecordsError> {
    let text = inflate(packed)?;
    let mut records = Vec::new();
    let lines = text.split(|&b| b == b'\n').enumerate();
    for (at, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let line_number = at + 1;
        if records.len() == MAX_LINES {
            return Err(RecordsError::TooMany);
        }
        records.push(read_one(line, line_number, gateway)?);
    }
    Ok(Unpacked {
        records,
        octets: text.len(),
    })
}

fn inflate(packed: &[u8]) -> Result<Vec<u8>, RecordsError> {
    let mut decoder = zstd::stream::read::Decoder::new(packed).map_err(RecordsError::NotZstd)?;
    decoder
        .window_log_max(MAX_WINDOW_LOG)
        .map_err(RecordsError::NotZstd)?;
    let mut text = Vec::new();
    decoder
        .take(MAX_UNPACKED as u64 + 1)
        .read_to_end(&mut text)
        .map_err(RecordsError::NotZstd)?;
    if text.len() > MAX_UNPACKED {
        return Err(RecordsError::TooLong);
    }
    Ok(text)
}

fn read_one(json: &[u8], line: usize, gateway: &str) -> Result<Record, RecordsError> {
    if json.len() > MAX_LINE {
        return Err(RecordsError::LongRecord { line });
    }
    let record: Record =
        serde_json::from_slice(json).map_err(|source| RecordsError::Malformed { line, source })?;
    if record.steps.len() > MAX_STEPS {
        return Err(RecordsError::Steps { line });
    }
    let ObjectRef {
        kind,
        namespace,
        name,
    } = &*record.gateway;
    let own = (namespace.as_str(), name.as_str());
    if *kind != Kind::MailGateway || gateway.split_once('/') != Some(own) {
        return Err(RecordsError::Foreign {
            line,
            gateway: record.gateway.to_string().chars().take(100).collect(),
        });
    }
    Ok(record)
}

/// Which process sends, and the number of its first record.
fn place(headers: &HeaderMap) -> Result<(String, u64), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let instance = text("sekisho-instance")
        .filter(|text| (8..=64).contains(&text.len()) && text.bytes().all(hex));
    let sequence = text("sekisho-sequence")
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    match (instance, sequence) {
        (Some(instance), Some(sequence)) => Ok((instance.to_owned(), sequence)),
        _ => Err(Problem::bad_request(
            "Sekisho-Instance is 8 to 64 lower-case hex digits, Sekisho-Sequence the number of the first record",
        )),
    }
}
