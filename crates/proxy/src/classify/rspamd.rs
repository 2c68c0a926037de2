//! Rspamd over HTTP: what it is told in fields, the message as the body, the answer a JSON object.

use std::fmt::Display;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, Request, Response, StatusCode};
use sekisho_policy::opinion::{EngineFault, Score};
use sekisho_policy::snapshot::Engine;

use super::body::MessageBody;
use super::connect::{Connection, Idle};
use super::engine::Time;
use super::trouble::Trouble;
use super::{Inquiry, answer};
use crate::dns::Dns;

const PATH: &str = "/checkv2";
/// Octets of an answer.
const MAX_ANSWER: usize = 1024 * 1024;
/// Octets of recipients that are told: rspamd takes a header section of 80 KiB and hangs up on more. A message to more
/// addresses than fit is judged by those that do.
const MAX_RECIPIENTS: usize = 56 * 1024;

/// Asks about one message.
///
/// It is told where the message comes from in fields, so our own Received field is not put before it; what the client wrote
/// under that name counts against a message, never for it.
///
/// # Errors
/// There is no score.
pub(super) async fn ask(
    dns: &Dns,
    engine: &Engine,
    idle: &Idle,
    inquiry: &Inquiry<'_>,
    time: Time,
) -> Result<Score, Trouble> {
    let fields = fields(engine, inquiry)?;
    if let Some(connection) = idle.take() {
        match exchange(connection, idle, &fields, inquiry).await {
            // It may have been closed before the question came: asked anew, once.
            Err(Trouble::Fault(EngineFault::Broken)) => {}
            other => return other,
        }
    }
    let connection = Connection::open(dns, &engine.address, time).await?;
    exchange(connection, idle, &fields, inquiry).await
}

async fn exchange(
    mut connection: Connection,
    idle: &Idle,
    fields: &HeaderMap,
    inquiry: &Inquiry<'_>,
) -> Result<Score, Trouble> {
    let body = MessageBody::new(inquiry.message);
    let progress = body.progress();
    let mut request = Request::post(PATH)
        .body(body)
        // The path is a constant.
        .map_err(|_| EngineFault::Broken)?;
    *request.headers_mut() = fields.clone();
    connection
        .sender
        .ready()
        .await
        .map_err(|error| trouble(&error))?;
    let response = connection
        .sender
        .send_request(request)
        .await
        .map_err(|error| trouble(&error))?;
    if response.status() != StatusCode::OK {
        return Err(EngineFault::Refused.into());
    }
    let closes = closes(response.headers());
    let body = read(response).await?;
    let score = answer::rspamd(&body)?;
    // What answers before it has the message would keep all of it, and its file, for as long as the connection lasts.
    if progress.is_at_end() && !closes {
        idle.put(connection);
    }
    Ok(score)
}

/// Whether the connection ends with this answer (RFC 9110 7.6.1).
fn closes(fields: &HeaderMap) -> bool {
    fields
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|octet| *octet == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

async fn read(response: Response<Incoming>) -> Result<bytes::Bytes, Trouble> {
    match Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
    {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(match error.downcast::<hyper::Error>() {
            Ok(error) => trouble(&error),
            Err(error) if error.is::<LengthLimitError>() => EngineFault::BadAnswer.into(),
            Err(_) => EngineFault::Broken.into(),
        }),
    }
}

fn trouble(error: &hyper::Error) -> Trouble {
    if error.is_user() {
        // The one thing of ours in it is the body.
        Trouble::Unreadable
    } else if error.is_parse() {
        EngineFault::BadAnswer.into()
    } else {
        EngineFault::Broken.into()
    }
}

/// What the engine is told. A value that HTTP cannot carry is left out: it cannot break out of its field.
fn fields(engine: &Engine, inquiry: &Inquiry<'_>) -> Result<HeaderMap, Trouble> {
    let mut fields = HeaderMap::new();
    let host = value(engine.address.to_string()).ok_or(EngineFault::Broken)?;
    fields.insert(HOST, host);
    // An empty message has a length too.
    fields.insert(CONTENT_LENGTH, inquiry.message.octets().into());
    let mut tell = |name: &'static str, text: Option<String>| {
        if let Some(value) = text.and_then(value) {
            fields.append(HeaderName::from_static(name), value);
        }
    };
    tell("queue-id", Some(inquiry.id.to_string()));
    tell("ip", Some(inquiry.source.to_string()));
    tell("user", inquiry.account.map(ToString::to_string));
    tell("helo", inquiry.helo.map(str::to_owned));
    tell("from", Some(bracketed(&inquiry.sender)));
    let mut room = MAX_RECIPIENTS;
    for recipient in inquiry.recipients {
        let recipient = bracketed(recipient);
        match room.checked_sub(recipient.len() + "rcpt: \r\n".len()) {
            Some(left) => room = left,
            None => break,
        }
        tell("rcpt", Some(recipient));
    }
    Ok(fields)
}

/// In brackets no comma of a quoted local part ends an address, and the null one is something.
fn bracketed(address: &dyn Display) -> String {
    format!("<{address}>")
}

fn value(text: String) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_is_found_among_other_options() {
        let of = |values: &[&'static str]| {
            let mut fields = HeaderMap::new();
            for value in values {
                fields.append(CONNECTION, HeaderValue::from_static(value));
            }
            closes(&fields)
        };
        assert!(of(&["close"]) && of(&["x, Close "]) && of(&["keep-alive", "CLOSE,y"]));
        assert!(!of(&[]) && !of(&["keep-alive"]) && !of(&["closed"]));
    }
}
