//! A whole session against an oracle: whatever octets a client sends, in whatever pieces, and however the next hop
//! misbehaves, what the client was told is what the next hop has. Also the body of the fuzz target `session`.

use std::time::Duration;

use sekisho_testkit::{At, Fault, Received, Sink};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::world::{Objects, World};

/// In the script of a session: what comes before it is one write.
pub(crate) const CUT: u8 = 0xff;
/// In the script of a session: the client waits for an answer, but not long.
pub(crate) const WAIT: u8 = 0xfe;
const BRIEFLY: Duration = Duration::from_millis(20);
/// A session that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway with a next hop that keeps what it accepts.
pub(crate) struct Arena {
    runtime: Runtime,
    world: World,
    sink: Sink,
}

impl Arena {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (world, sink) = runtime.block_on(async {
            let sink = Sink::start().await;
            sink.refuse_recipient("nobody@example.net", "550 5.1.1 no such user");
            let hops = [("U".to_owned(), sink.address())].into();
            let mut objects = Objects::new();
            let generous = json!({ "errors": 60, "idleCommands": 500, "refusedRecipients": 60 });
            objects.set("gateway", "", &json!({ "limits": generous }));
            let policy =
                json!({ "blockedExtensions": ["exe"], "maxRecipients": 5, "maxSize": 20_000 });
            objects.set("SubmissionPolicy", "all", &policy);
            (World::start(&mut objects, &hops, &[]).await.unwrap(), sink)
        });
        Self {
            runtime,
            world,
            sink,
        }
    }

    /// Plays a session: the first octet says how the next hop behaves, the rest is what the client says.
    ///
    /// # Panics
    /// The client was told what is not so.
    pub(crate) fn play(&mut self, script: &[u8]) {
        let (behaviour, said) = script.split_first().unwrap_or((&0, &[]));
        let trouble = trouble(*behaviour);
        if let Some((at, fault)) = &trouble {
            self.sink.misbehave(*at, fault.clone());
        }
        let told = self.runtime.block_on(async {
            let told = timeout(PATIENCE, self.converse(said)).await;
            told.unwrap_or_else(|_| panic!("the session hangs"))
        });
        while self.world.records.try_recv().is_ok() {}
        self.sink.behave();
        self.sink
            .refuse_recipient("nobody@example.net", "550 5.1.1 no such user");
        check_commands(&self.sink.take_commands());
        // It took the message, and did not say so as one must: the client is not told either.
        let keeps_in_silence = matches!(
            trouble,
            Some((At::Final, Fault::KeepAndClose | Fault::Twice(_)))
        );
        compare(&promises(&told), &self.sink.take(), said, keeps_in_silence);
    }

    async fn converse(&self, said: &[u8]) -> Vec<u8> {
        let (client, proxy) = tokio::io::duplex(64 * 1024);
        let source = ([203, 0, 113, 9], 40_000).into();
        let serving =
            self.world
                .gateway
                .serve("submission", proxy, source, ([192, 0, 2, 1], 587).into());
        let (served, told) = tokio::join!(serving, talk(client, said));
        assert!(served);
        told
    }
}

/// Says everything, waiting for the greeting and where the script says so, and hears everything.
async fn talk(client: DuplexStream, said: &[u8]) -> Vec<u8> {
    let (mut hear, mut say) = tokio::io::split(client);
    let (heard, mut news) = watch::channel(0);
    let saying = async {
        let _ = news.wait_for(|heard| *heard > 0).await;
        for piece in said.split_inclusive(|octet| matches!(*octet, CUT | WAIT)) {
            let (mark, octets) = match piece {
                [octets @ .., mark @ (CUT | WAIT)] => (*mark, octets),
                octets => (CUT, octets),
            };
            news.mark_unchanged();
            if say.write_all(octets).await.is_err() {
                return;
            }
            if mark == WAIT {
                let _ = timeout(BRIEFLY, news.changed()).await;
            }
            // The proxy sees the piece alone.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        }
        // A client that is gone is not answered: this one says goodbye.
        let _ = say.write_all(b"\r\n.\r\nQUIT\r\nQUIT\r\n").await;
        let _ = say.shutdown().await;
    };
    let hearing = async {
        let mut told = Vec::new();
        while hear
            .read_buf(&mut told)
            .await
            .is_ok_and(|octets| octets > 0)
        {
            heard.send_replace(told.len());
        }
        drop(heard);
        told
    };
    tokio::join!(saying, hearing).1
}

/// How the next hop behaves.
fn trouble(behaviour: u8) -> Option<(At, Fault)> {
    let reply = |text: &str| Fault::Reply(text.to_owned());
    let twice = |text: &str| Fault::Twice(text.to_owned());
    let close = |text: &str| Fault::ReplyAndClose(text.to_owned());
    let one = match behaviour {
        1 => (At::Mail, reply("451 4.3.0 later")),
        2 => (At::Mail, twice("250 2.1.5 ok")),
        3 => (At::Rcpt, twice("250 2.1.5 ok")),
        4 => (At::Rcpt, twice("354 go on")),
        5 => (At::Rcpt, reply("354 go on")),
        6 => (At::Data, reply("250 2.0.0 kept")),
        7 => (At::Data, twice("250 2.0.0 kept")),
        8 => (At::Data, close("421 4.3.2 going down")),
        9 => (At::Final, reply("451 4.3.0 later")),
        10 => (At::Final, reply("354 go on")),
        11 => (
            At::Final,
            twice("250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on"),
        ),
        12 => (At::Final, Fault::Close),
        13 => (At::Final, Fault::KeepAndClose),
        14 => (At::Ehlo, twice("250 2.1.0 ok")),
        15 => (At::Greeting, twice("250 sink.test")),
        16 => (At::Data, reply("550 5.7.1 no")),
        17 => (At::Rset, twice("250 2.0.0 kept")),
        18 => (At::Final, reply("250-2.0.0 kept\r\n451 4.3.0 later")),
        19 => (At::Rcpt, close("421 4.3.2 going down")),
        20 => (At::Mail, close("250 2.1.0 ok")),
        _ => return None,
    };
    Some(one)
}

/// The recipients of each message that the client was told is kept. The next hop's word for it reaches the client with the id of
/// a decision, and so does nothing else.
fn promises(told: &[u8]) -> Vec<usize> {
    let mut promises = Vec::new();
    let mut recipients = 0;
    for reply in replies(told) {
        if reply == "250 2.1.0 Sender OK" {
            recipients = 0;
        } else if reply == "250 2.1.5 Recipient OK" {
            recipients += 1;
        } else if reply.starts_with("250 2.0.0 kept [") {
            promises.push(recipients);
        }
    }
    promises
}

/// The last line of each reply; each is checked by the letter of RFC 5321 4.2 and RFC 2034.
fn replies(told: &[u8]) -> Vec<String> {
    let Some(whole) = told.strip_suffix(b"\r\n") else {
        assert!(told.is_empty(), "half a reply: {}", told.escape_ascii());
        return Vec::new();
    };
    let text = std::str::from_utf8(whole).unwrap();
    let mut replies = Vec::new();
    let mut begun: Option<&str> = None;
    for line in text.split("\r\n") {
        assert!(line.len() <= 510, "a line of {} octets", line.len());
        assert!(
            line.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
            "{line:?}"
        );
        let (code, rest) = line.split_at_checked(3).unwrap_or((line, ""));
        assert!(
            matches!(code.as_bytes(), [b'2'..=b'5', b'0'..=b'5', b'0'..=b'9']),
            "{line:?}"
        );
        assert!(begun.is_none_or(|begun| begun == code), "{line:?}");
        let bare = matches!(code, "220" | "250" | "334" | "354") && !rest[1..].starts_with("2.");
        assert!(
            bare || rest[1..].starts_with(&format!("{}.", &code[..1])),
            "no enhanced code: {line:?}"
        );
        match rest.as_bytes().first() {
            Some(b'-') => begun = Some(code),
            Some(b' ') => {
                begun = None;
                replies.push(line.to_owned());
            }
            _ => panic!("{line:?}"),
        }
    }
    assert!(begun.is_none(), "a reply without its last line");
    replies
}

/// Only what the proxy itself says reaches the next hop as a command.
fn check_commands(commands: &[String]) {
    for line in commands {
        let is_ours = [
            "EHLO mail.example.jp",
            "HELO mail.example.jp",
            "DATA",
            "RSET",
            "QUIT",
        ]
        .contains(&line.as_str())
            || line.starts_with("MAIL FROM:<")
            || line.starts_with("RCPT TO:<");
        assert!(is_ours, "the next hop was told {line:?}");
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    }
}

fn compare(promised: &[usize], kept: &[Received], said: &[u8], keeps_in_silence: bool) {
    if keeps_in_silence {
        assert!(
            promised.is_empty(),
            "promised without a word of the next hop"
        );
    } else {
        let has: Vec<usize> = kept.iter().map(|message| message.rcpts.len()).collect();
        assert_eq!(
            promised, has,
            "what the client was told, and what the next hop has"
        );
    }
    for message in kept {
        check_framing(&message.data);
        check_origin(&message.data, said);
    }
}

/// A message has nothing that a lax server could take for its end.
fn check_framing(data: &[u8]) {
    let shown = || data.escape_ascii().to_string();
    assert!(data.starts_with(b"Received: from "), "{}", shown());
    for (at, octet) in data.iter().enumerate() {
        match octet {
            b'\r' => assert_eq!(data.get(at + 1), Some(&b'\n'), "{}", shown()),
            b'\n' => assert!(at > 0 && data[at - 1] == b'\r', "{}", shown()),
            octet => assert_ne!(*octet, 0, "{}", shown()),
        }
    }
}

/// What lies below our own field was said by this client, in this order.
fn check_origin(data: &[u8], said: &[u8]) {
    let is_framing = |octet: &u8| matches!(*octet, b'\r' | b'\n' | b'.' | 0 | CUT | WAIT);
    let mut lines = data.split_inclusive(|octet| *octet == b'\n').skip(1);
    let own: usize = lines
        .by_ref()
        .take_while(|line| line.first() == Some(&b'\t'))
        .map(<[u8]>::len)
        .sum();
    let first = data
        .iter()
        .position(|octet| *octet == b'\n')
        .map_or(0, |at| at + 1);
    let mut said = said.iter().filter(|octet| !is_framing(octet));
    for octet in data[first + own..]
        .iter()
        .filter(|octet| !is_framing(octet))
    {
        assert!(
            said.any(|own| own == octet),
            "the client did not say {}",
            data.escape_ascii()
        );
    }
}
