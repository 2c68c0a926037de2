//! SpamAssassin's spamd: one connection for each message, `SPAMC/1.5`.

use sekisho_policy::opinion::{EngineFault, Score};
use sekisho_policy::snapshot::Engine;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::connect::connect;
use super::engine::Time;
use super::trouble::Trouble;
use super::{Inquiry, answer};
use crate::dns::Dns;
use crate::fields::FieldRenamer;

/// Octets of an answer: the names of all rules that there are fit in.
const MAX_ANSWER: u64 = 64 * 1024;

/// Asks about one message.
///
/// It is not told the account: spamd takes `User` for the one whose preferences and word lists it is to read, which may change
/// who it runs as, and an account is whatever a client could log in as.
/// Where the message comes from it learns from a Received field alone. So our own stands first: it says ESMTPSA of a client that
/// logged in, which is what keeps an honest customer at home from being taken for a machine that sends mail directly. But it also
/// has spamd believe the field below it, which a thief writes as he likes (`def_welcomelist_from_rcvd`), so what the client
/// brought under that name goes by another, as long as the first.
///
/// # Errors
/// There is no score.
pub(super) async fn ask(
    dns: &Dns,
    engine: &Engine,
    inquiry: &Inquiry<'_>,
    time: Time,
) -> Result<Score, Trouble> {
    let mut stream = connect(dns, &engine.address, time).await?;
    let (mut from, mut to) = stream.split();
    match send(&mut to, inquiry).await {
        // What hangs up early may still have said why.
        Ok(()) | Err(Trouble::Fault(_)) => read(&mut from).await,
        Err(trouble) => Err(trouble),
    }
}

async fn send(to: &mut (impl AsyncWrite + Unpin), inquiry: &Inquiry<'_>) -> Result<(), Trouble> {
    let broken = |_| Trouble::from(EngineFault::Broken);
    let Inquiry {
        received, message, ..
    } = inquiry;
    let length = received.len() as u64 + message.octets();
    let head = format!("SYMBOLS SPAMC/1.5\r\nContent-length: {length}\r\n\r\n{received}");
    to.write_all(head.as_bytes()).await.map_err(broken)?;
    let mut reader = message.reader();
    // As long as before, since the length was told.
    let mut editor = FieldRenamer::new("Received", "X-Former");
    loop {
        let chunk = reader.next().await.map_err(|_| Trouble::Unreadable)?;
        if chunk.is_empty() {
            break;
        }
        to.write_all(&editor.pass(&chunk)).await.map_err(broken)?;
    }
    to.write_all(&editor.finish()).await.map_err(broken)?;
    to.shutdown().await.map_err(broken)
}

async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Score, Trouble> {
    let mut answer = Vec::new();
    let reading = from.take(MAX_ANSWER + 1).read_to_end(&mut answer).await;
    if answer.len() as u64 > MAX_ANSWER {
        return Err(EngineFault::BadAnswer.into());
    }
    // What was said before the connection broke may be whole.
    match answer::spamd(&answer) {
        Err(EngineFault::BadAnswer) if reading.is_err() => Err(EngineFault::Broken.into()),
        read => Ok(read?),
    }
}
