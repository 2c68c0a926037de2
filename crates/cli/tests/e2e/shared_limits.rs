//! Two processes of `sekisho up` and one Redis: one limit for both, and what its `onUnavailable` says while Redis is away.
#![expect(
    clippy::print_stderr,
    reason = "what was measured, for whoever reads it"
)]

use std::process::Command;

use sekisho_testkit::{RedisServer, Sink, require, wait_until};

use crate::up::{ACCOUNT, PASSWORD, Setup, Up, run};

const LIMIT: usize = 10;

/// Logs in under TLS and sends so many messages to one recipient each; prints how each ended.
const SENDER: &str = r#"
import base64, socket, ssl, sys
port, account, password, count = int(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4])
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
stream = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
def reply():
    said = b""
    while not said.endswith(b"\n") or said.splitlines()[-1][3:4] == b"-":
        part = stream.recv(4096)
        if not part:
            return "closed"
        said += part
    return said.decode().splitlines()[-1]
def say(line):
    stream.sendall(line + b"\r\n")
    return reply()
reply()
say(b"EHLO sender.test")
say(b"AUTH PLAIN " + base64.b64encode(f"\0{account}\0{password}".encode()))
for n in range(count):
    sender = account.encode()
    for line in [b"MAIL FROM:<" + sender + b">", b"RCPT TO:<bob@example.net>", b"DATA", b"From: <" + sender + b">\r\n\r\nHello\r\n."]:
        told = say(line)
        if told[0] not in "23":
            break
    print(told)
    if told[0] not in "23":
        say(b"RSET")
"#;

/// How messages ended that were sent through `up`.
fn send(up: &Up, count: usize) -> Vec<String> {
    let mut command = Command::new(require("python3").unwrap());
    command.arg(up.file("sender.py", SENDER.as_bytes()));
    command.args([
        &up.submissions.number().to_string(),
        ACCOUNT,
        PASSWORD,
        &count.to_string(),
    ]);
    let (_, said) = run(&mut command);
    let told: Vec<String> = said.lines().map(str::to_owned).collect();
    assert_eq!(told.len(), count, "{said}\n{}", up.log());
    told
}

fn accepted(told: &[String]) -> usize {
    let others = told.iter().filter(|told| !told.starts_with("250"));
    for other in others.clone() {
        assert!(
            other.starts_with("450 4.7.1") || other.starts_with("451 4.3.0"),
            "{other}"
        );
    }
    told.len() - others.count()
}

fn objects(redis: &RedisServer, on_unavailable: &str) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{ name: redis }}
stringData: {{ url: \"{}\" }}
---
apiVersion: sekisho.dev/v1alpha1
kind: RateLimit
metadata: {{ name: by-account }}
spec:
  targetRefs: [{{ group: sekisho.dev, kind: MailGateway, name: gate }}]
  key: [Account]
  limits: [{{ unit: Recipients, count: {LIMIT}, per: 1h }}]
  onExceed: Defer
  onUnavailable: {on_unavailable}",
        redis.url()
    )
}

/// Two processes with the key of one fleet.
fn two(redis: &RedisServer, sink: &Sink, on_unavailable: &str) -> [Up; 2] {
    let objects = objects(redis, on_unavailable);
    let mut setup = Setup::to(sink.address());
    setup.gateway_fields = "  counters: { type: Redis, secretRef: { name: redis } }";
    setup.objects = &objects;
    setup.state = &[("fleet.key", b"a key of 32 octets for one fleet")];
    [Up::start(&setup), Up::start(&setup)]
}

/// Waits until both know that Redis answers, or that it does not.
fn wait_for_parts(ups: &[Up; 2], state: &str) {
    for up in ups {
        let series =
            format!("sekisho_counter_parts{{gateway=\"default/gate\",state=\"{state}\"}} 1");
        wait_until(&series, || up.metrics().contains(&series).then_some(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_a_limit_and_count_alone_while_redis_is_away() {
    let (Some(mut redis), Some(_)) = (RedisServer::start(), require("python3")) else {
        return;
    };
    let sink = Sink::start().await;
    let ups = two(&redis, &sink, "LocalOnly");
    wait_for_parts(&ups, "asked");
    let (first, second) = (send(&ups[0], 6), send(&ups[1], 6));
    assert_eq!(
        (accepted(&first), accepted(&second)),
        (6, LIMIT - 6),
        "{second:?}"
    );
    assert_eq!(accepted(&send(&ups[0], 2)), 0);
    let metrics = ups[0].metrics();
    let trips = metrics
        .lines()
        .find(|line| line.starts_with("sekisho_counter_round_trips_total"));
    assert!(
        trips.is_some_and(|line| line.contains("redis") && !line.ends_with(" 0")),
        "{trips:?}"
    );

    redis.stop();
    // The first to notice may be a client; then nobody waits any more.
    for up in &ups {
        assert_eq!(
            accepted(&send(up, LIMIT + 3)),
            LIMIT,
            "each counts alone, and to no more\n{}",
            up.log()
        );
    }
    wait_for_parts(&ups, "suspended");

    redis.begin();
    wait_for_parts(&ups, "asked");
    // This one keeps nothing on disk, so all begins anew.
    let again = accepted(&send(&ups[1], LIMIT + 3));
    assert_eq!(again, LIMIT);
    eprintln!(
        "limit {LIMIT}, two proxies, LocalOnly: {LIMIT} before the outage, {} during it, {again} after a restart that lost everything",
        2 * LIMIT
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_deferred_or_let_pass_while_redis_is_away_is() {
    let (Some(mut redis), Some(_)) = (RedisServer::start(), require("python3")) else {
        return;
    };
    let sink = Sink::start().await;
    for (on_unavailable, passes) in [("Defer", 0), ("Allow", LIMIT + 5)] {
        let ups = two(&redis, &sink, on_unavailable);
        wait_for_parts(&ups, "asked");
        redis.stop();
        for up in &ups {
            let told = send(up, LIMIT + 5);
            assert_eq!(accepted(&told), passes, "{on_unavailable}: {told:?}");
        }
        redis.begin();
        wait_for_parts(&ups, "asked");
        let told = send(&ups[0], LIMIT + 5);
        assert_eq!(accepted(&told), LIMIT, "{told:?}");
        redis.cli(&["flushall"]);
    }
}
