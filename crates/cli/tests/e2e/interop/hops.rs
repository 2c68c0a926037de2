//! Mail servers behind Sekisho. Each passes on what it takes to a sink, where the messages are compared with what was sent.

use std::net::SocketAddr;

use sekisho_runtime::Clock;
use sekisho_runtime::tls::self_signed;
use sekisho_testkit::{Mta, MtaSetup, Postfix, PostfixSetup, Sink};

use super::envelopes::{self, Door, Envelope};
use super::judge::{self, About, REFUSED, its_received, judge};
use super::page::{self, Table};
use super::{messages, programs};
use crate::up::{ACCOUNT, PASSWORD, Setup, Up};

pub(super) const TABLE: Table = Table {
    heading: "Next hops",
    intro: "
Over one session of a client, with `tls: Opportunistic` and the server's own self-signed certificate: plain messages to two recipients, dots
and lines of 998 octets, UTF-8 as 8 bits, a recipient that it refuses beside one that it takes, SMTPUTF8 and DSN where it offers them,
and 5 MiB. Each message leaves the server once, the same octet for octet below our Received field, with what its envelope said. Login: the
server takes our own AUTH (a pool's `relay.credentialsRef`), or, where it says so, that of the client (`backends: [{ type: Upstream }]`).",
    columns: &[
        "next hop",
        "version",
        "connection",
        "login",
        "plain",
        "dots, long lines",
        "8-bit",
        "refused recipient",
        "5 MiB",
        "SMTPUTF8",
        "DSN",
        "connections",
        "notes",
    ],
};

struct Hop {
    name: &'static str,
    start: fn(&Sink) -> Option<Server>,
    /// Whose passwords count: the entry of `spec.authentication.backends`.
    backend: &'static str,
    /// Fields of `spec.upstream`.
    upstream: &'static str,
    version: fn(&Server) -> String,
    /// A word of its own in the refusal of a recipient.
    refusal: &'static str,
    login: Login,
    notes: &'static str,
}

/// How it is logged in to.
#[derive(PartialEq, Eq)]
enum Login {
    /// By the gateway, for its own mail.
    Ours,
    /// By the client.
    OfTheClient,
    /// Not at all.
    None(&'static str),
}

const OWN_ACCOUNTS: &str = "{ type: AccountsFile, accountsFile: { path: accounts } }";

const HOPS: &[Hop] = &[
    Hop {
        name: "Postfix",
        start: start_postfix,
        backend: OWN_ACCOUNTS,
        upstream: "tls: Opportunistic, clientIdentity: Xclient",
        version: |_| {
            programs::version_of("postconf", &["-d", "mail_version"], "mail_version = ")
                .unwrap_or_default()
        },
        refusal: "5.1.1 <nobody@example.net>: Recipient address rejected: nobody of that name",
        login: Login::Ours,
        notes: "the client's address and login arrive by XCLIENT",
    },
    Hop {
        name: "Exim",
        start: |sink| Mta::exim(&setup(sink)).map(Server::Mta),
        backend: OWN_ACCOUNTS,
        upstream: "tls: Opportunistic",
        version: |server| server.greeting("Exim "),
        refusal: "Exim knows nobody of that name",
        login: Login::Ours,
        notes: "DSN with `dsn_advertise_hosts = *`. Set `smtp_accept_queue_per_connection = 0`: after 10 messages of one connection, which Sekisho keeps, Exim leaves the others to its next queue run",
    },
    Hop {
        name: "OpenSMTPD",
        start: |sink| Mta::opensmtpd(&setup(sink)).map(Server::Mta),
        backend: OWN_ACCOUNTS,
        upstream: "tls: Opportunistic",
        version: |server| programs::word_after(&server.log(), "OpenSMTPD ").unwrap_or_default(),
        refusal: "Invalid recipient",
        login: Login::None("no: it takes AUTH under TLS alone"),
        notes: "Debian 12's package offers STARTTLS and fails every handshake (OpenSSL 3, its issue 1171); Sekisho goes on without TLS",
    },
    Hop {
        name: "Dovecot submission",
        start: |sink| Mta::dovecot(&setup(sink)).map(Server::Mta),
        backend: "{ type: Upstream }",
        upstream: "tls: Opportunistic",
        version: |_| programs::version_of("dovecot", &["--version"], "").unwrap_or_default(),
        refusal: "the server behind knows nobody of that name",
        login: Login::OfTheClient,
        notes: "a connection belongs to the session whose login it took",
    },
];

pub(super) fn names() -> Vec<&'static str> {
    HOPS.iter().map(|hop| hop.name).collect()
}

/// Where the client says that it is.
const CLIENT: &str = "127.0.0.77";

fn setup(sink: &Sink) -> MtaSetup {
    MtaSetup {
        relay_to: sink.address(),
        login: (ACCOUNT.to_owned(), PASSWORD.to_owned()),
        refused: REFUSED.to_owned(),
    }
}

/// A running next hop.
enum Server {
    Postfix {
        postfix: Postfix,
        _certificate: tempfile::TempDir,
    },
    Mta(Mta),
}

impl Server {
    fn address(&self) -> SocketAddr {
        match self {
            Server::Postfix { postfix, .. } => postfix.address(),
            Server::Mta(mta) => mta.address(),
        }
    }

    fn log(&self) -> String {
        match self {
            Server::Postfix { postfix, .. } => postfix.log(),
            Server::Mta(mta) => mta.log(),
        }
    }

    /// The word after `before` in its greeting.
    fn greeting(&self, before: &str) -> String {
        use std::io::{BufRead as _, BufReader};
        let stream = std::net::TcpStream::connect(self.address()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        programs::word_after(&line, before).unwrap_or_else(|| panic!("no {before} in {line}"))
    }
}

fn start_postfix(sink: &Sink) -> Option<Server> {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("hop.pem");
    self_signed(
        &certificate,
        &["hop.test".to_owned()],
        Clock::system().now_ms(),
    )
    .unwrap();
    let certificate = certificate.display();
    let postfix = Postfix::start(&PostfixSetup {
        parameters: vec![
            "virtual_mailbox_domains =".to_owned(),
            format!(
                "relayhost = [{}]:{}",
                sink.address().ip(),
                sink.address().port()
            ),
            format!(
                "smtpd_recipient_restrictions = check_recipient_access inline:{{{{{REFUSED} = 550 5.1.1 nobody of that name}}}}"
            ),
            "smtpd_authorized_xclient_hosts = 127.0.0.0/8".to_owned(),
            format!("smtpd_tls_cert_file = {certificate}"),
            format!("smtpd_tls_key_file = {certificate}"),
            "smtpd_tls_security_level = may".to_owned(),
        ],
        account: Some((ACCOUNT.to_owned(), PASSWORD.to_owned())),
        listen: None,
    })?;
    Some(Server::Postfix {
        postfix,
        _certificate: folder,
    })
}

pub(super) async fn try_one(name: &str) {
    let hop = HOPS.iter().find(|hop| hop.name == name).unwrap();
    let sink = Sink::start().await;
    sink.refuse_recipient(
        REFUSED,
        "550 5.1.1 the server behind knows nobody of that name",
    );
    let Some(server) = tokio::task::block_in_place(|| (hop.start)(&sink)) else {
        return;
    };
    let Some(cells) = main_session(hop, &server, &sink).await else {
        return;
    };
    let login = match hop.login {
        Login::Ours => logged_in(&server, &sink).await,
        Login::OfTheClient => "yes, the client's".to_owned(),
        Login::None(why) => why.to_owned(),
    };
    let [connection, rest @ ..] = &cells[..] else {
        unreachable!("there are cells");
    };
    let mut row = vec![connection.clone(), login];
    row.extend(rest.iter().cloned());
    row.push(hop.notes.to_owned());
    page::row(&TABLE, hop.name, &(hop.version)(&server), &row);
}

/// One session over each listener; the cells that it fills: the connection, and those after the login.
async fn main_session(hop: &Hop, server: &Server, sink: &Sink) -> Option<Vec<String>> {
    let mut gate = Setup::to(server.address());
    gate.backend = hop.backend;
    gate.upstream_fields = hop.upstream;
    let up = Up::start(&gate);
    let doors = [
        (up.submission.number(), "starttls"),
        (up.submissions.number(), "implicit"),
    ];
    meet(hop, sink, &up, doors[0].0).await?;
    let (mut found, mut messages) = (Vec::new(), 1);
    for (port, tls) in doors {
        let door = Door {
            port,
            source: CLIENT,
            tls,
        };
        // It logs in twice: once to see what is offered, and once to send.
        let (cells, taken) = session(hop, server, sink, &up, &door).await?;
        found.push(cells);
        messages += taken;
    }
    assert_eq!(found[0], found[1], "{}: the listeners differ", hop.name);
    let mut cells = found.swap_remove(0);
    let over_tls = if steps(&up, "tls") > 0 {
        "TLS"
    } else {
        "clear"
    };
    cells.insert(0, over_tls.to_owned());
    cells.push(format!(
        "{} for {messages} messages in 5 sessions",
        steps(&up, "connect")
    ));
    Some(cells)
}

/// A first message, by which the gateway learns what the next hop offers, and so what it can offer itself.
async fn meet(hop: &Hop, sink: &Sink, up: &Up, port: u16) -> Option<()> {
    let door = Door {
        port,
        source: CLIENT,
        tls: "starttls",
    };
    let first = [About::Plain.envelope()];
    let replies = tokio::task::block_in_place(|| envelopes::send(up, &door, &first))?;
    assert!(
        judge::taken(&replies.each[0]),
        "{}: {:?}",
        hop.name,
        replies.each
    );
    sink.wait_for(1).await;
    sink.take();
    Some(())
}

/// One session: what the table says of each envelope, and how many messages were taken.
async fn session(
    hop: &Hop,
    server: &Server,
    sink: &Sink,
    up: &Up,
    door: &Door<'_>,
) -> Option<(Vec<String>, usize)> {
    let send = |list: &[Envelope]| tokio::task::block_in_place(|| envelopes::send(up, door, list));
    let offered = send(&[])?.offered;
    let offers = |keyword: &str| offered.iter().any(|o| o.eq_ignore_ascii_case(keyword));
    let tried: Vec<About> = judge::ALL
        .into_iter()
        .filter(|about| about.keyword().is_none_or(offers))
        .collect();
    let list: Vec<Envelope> = tried.iter().map(|about| about.envelope()).collect();
    let replies = send(&list)?.each;
    let taken = replies
        .iter()
        .filter(|replies| judge::taken(replies))
        .count();
    let mut arrived = sink.wait_for(taken).await;
    sink.take();
    assert_eq!(
        arrived.len(),
        taken,
        "{}: {replies:?}\n{}",
        hop.name,
        server.log()
    );
    if hop.upstream.contains("Xclient") {
        let received = its_received(&arrived[0]);
        assert!(
            received.contains(&format!("[{CLIENT}]")),
            "{}: {received}",
            hop.name
        );
    }
    let mut cells = Vec::new();
    for about in judge::ALL {
        let at = tried.iter().position(|tried| *tried == about);
        cells.push(match at {
            Some(at) => judge(about, &list[at], &replies[at], hop.refusal, &mut arrived),
            None => "not offered".to_owned(),
        });
    }
    Some((cells, taken))
}

/// A session of the gateway's own: what it says in the server's Received field.
async fn logged_in(server: &Server, sink: &Sink) -> String {
    let objects = format!(
        "apiVersion: sekisho.dev/v1alpha1
kind: SubmissionPolicy
metadata: {{ name: policy }}
spec:
  targetRefs: [{{ name: gate }}]
  route: {{ unclassified: {{ pool: relay }} }}
---
apiVersion: sekisho.dev/v1alpha1
kind: EgressPool
metadata: {{ name: relay }}
spec:
  members: [{{ name: a, sourceAddress: 127.0.0.21 }}]
  relay: {{ address: \"{}\", tls: Opportunistic, credentialsRef: {{ name: relay-login }} }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: relay-login }}
type: kubernetes.io/basic-auth
stringData: {{ username: {ACCOUNT}, password: {PASSWORD} }}
",
        server.address()
    );
    let mut gate = Setup::to(server.address());
    gate.objects = &objects;
    let up = Up::start(&gate);
    let door = Door {
        port: up.submissions.number(),
        source: CLIENT,
        tls: "implicit",
    };
    let envelope = Envelope::to(&["bob@example.net"], messages::plain());
    let replies = tokio::task::block_in_place(|| envelopes::send(&up, &door, &[envelope])).unwrap();
    assert!(
        replies.each[0][2].starts_with("250"),
        "{:?}\n{}\n{}",
        replies.each,
        up.log(),
        server.log()
    );
    sink.wait_for(1).await;
    let received = its_received(&sink.take()[0]);
    assert!(
        received.to_lowercase().contains("esmtpsa"),
        "not logged in: {received}"
    );
    "yes".to_owned()
}

/// How often the gateway has taken this step with a next hop.
fn steps(up: &Up, phase: &str) -> u64 {
    let series = up.metrics();
    series
        .lines()
        .filter(|line| {
            line.starts_with("sekisho_upstream_duration_seconds_count")
                && line.contains(&format!("phase=\"{phase}\""))
        })
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}
