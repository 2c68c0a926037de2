//! Mail servers behind Sekisho. Each passes on what it takes to a sink, where the messages are compared with what was sent.

use std::net::SocketAddr;

use sekisho_runtime::Clock;
use sekisho_runtime::tls::self_signed;
use sekisho_testkit::{Mta, MtaSetup, Postfix, PostfixSetup, Received, Sink};

use super::clients::assert_same;
use super::envelopes::{self, Door, Envelope, Replies};
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
        "next hop", "version", "connection", "login", "plain, dots, long lines", "8-bit", "refused recipient", "SMTPUTF8", "DSN",
        "5 MiB", "connections", "notes",
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
        version: |_| programs::version_of("postconf", &["mail_version"], "mail_version = ").unwrap_or_default(),
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
        notes: "Debian's build offers DSN where `dsn_advertise_hosts` says so, and no SMTPUTF8 where the light daemon is not told to",
    },
    Hop {
        name: "OpenSMTPD",
        start: |sink| Mta::opensmtpd(&setup(sink)).map(Server::Mta),
        backend: OWN_ACCOUNTS,
        upstream: "tls: \"Off\"",
        version: |server| programs::word_after(&server.log(), "OpenSMTPD ").unwrap_or_default(),
        refusal: "Invalid recipient",
        login: Login::None("no: it takes AUTH under TLS alone"),
        notes: "with `tls: \"Off\"`: Debian 12's package offers STARTTLS and fails every handshake (OpenSSL 3, its issue 1171)",
    },
    Hop {
        name: "Dovecot submission",
        start: |sink| Mta::dovecot(&setup(sink)).map(Server::Mta),
        backend: "{ type: Upstream }",
        upstream: "tls: Opportunistic",
        version: |_| programs::version_of("dovecot", &["--version"], "").unwrap_or_default(),
        refusal: "5.1.1 the server behind knows nobody of that name",
        login: Login::OfTheClient,
        notes: "a connection belongs to the session whose login it took",
    },
];

pub(super) fn names() -> Vec<&'static str> {
    HOPS.iter().map(|hop| hop.name).collect()
}

const REFUSED: &str = "nobody@example.net";

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
    self_signed(&certificate, &["hop.test".to_owned()], Clock::system().now_ms()).unwrap();
    let certificate = certificate.display();
    let postfix = Postfix::start(&PostfixSetup {
        parameters: vec![
            "virtual_mailbox_domains =".to_owned(),
            format!("relayhost = [{}]:{}", sink.address().ip(), sink.address().port()),
            format!("smtpd_recipient_restrictions = check_recipient_access inline:{{{{{REFUSED} = 550 5.1.1 nobody of that name}}}}"),
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
    sink.refuse_recipient(REFUSED, "550 5.1.1 the server behind knows nobody of that name");
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

/// Envelopes that a server gets, by what they are about.
struct Envelopes {
    list: Vec<Envelope>,
    smtputf8: Option<usize>,
    dsn: Option<usize>,
}

const PLAIN: usize = 0;
const EIGHT_BIT: usize = 2;
const WITH_REFUSED: usize = 3;

fn envelopes(offered: &[String]) -> Envelopes {
    let offers = |keyword: &str| offered.iter().any(|o| o.eq_ignore_ascii_case(keyword));
    let mut list = vec![
        Envelope::to(&["bob@example.net", "carol@example.net"], messages::plain()),
        Envelope::to(&["bob@example.net"], messages::dots_and_long_lines(false)),
        Envelope {
            options: vec!["BODY=8BITMIME".to_owned()],
            ..Envelope::to(&["bob@example.net"], messages::eight_bit())
        },
        Envelope::to(&[REFUSED, "bob@example.net"], messages::plain()),
        Envelope::to(&["bob@example.net"], messages::large()),
    ];
    let mut add = |envelope: Envelope| {
        list.push(envelope);
        list.len() - 1
    };
    let smtputf8 = offers("SMTPUTF8").then(|| {
        add(Envelope {
            options: vec!["BODY=8BITMIME".to_owned(), "SMTPUTF8".to_owned()],
            ..Envelope::to(&["関守@example.net"], messages::eight_bit())
        })
    });
    let dsn = offers("DSN").then(|| {
        let asked = ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;bob@example.net"];
        add(Envelope {
            options: vec!["RET=HDRS".to_owned(), "ENVID=q1".to_owned()],
            recipients: vec![("bob@example.net".to_owned(), asked.map(str::to_owned).to_vec())],
            message: messages::plain(),
        })
    });
    Envelopes { list, smtputf8, dsn }
}

/// One session over each listener; the cells that it fills: the connection, and those after the login.
async fn main_session(hop: &Hop, server: &Server, sink: &Sink) -> Option<Vec<String>> {
    let mut gate = Setup::to(server.address());
    gate.backend = hop.backend;
    gate.upstream_fields = hop.upstream;
    let up = Up::start(&gate);
    let mut cells = Vec::new();
    for (port, tls) in [(up.submission.number(), "starttls"), (up.submissions.number(), "implicit")] {
        let door = Door { port, source: "127.0.0.77", tls };
        let offered = tokio::task::block_in_place(|| envelopes::send(&up, &door, &[]))?.offered;
        let envelopes = envelopes(&offered);
        let before = connections(&up);
        let replies = tokio::task::block_in_place(|| envelopes::send(&up, &door, &envelopes.list))?;
        let opened = connections(&up) - before;
        let arrived = sink.wait_for(envelopes.list.len()).await;
        assert_eq!(arrived.len(), envelopes.list.len(), "{}: {:?}", hop.name, replies.each);
        sink.take();
        let new = judge(hop, server, &envelopes, &replies, &arrived, opened);
        assert!(cells.is_empty() || cells == new, "{}: the listeners differ: {cells:?} {new:?}", hop.name);
        cells = new;
    }
    Some(cells)
}

fn judge(
    hop: &Hop,
    server: &Server,
    envelopes: &Envelopes,
    replies: &Replies,
    arrived: &[Received],
    opened: u64,
) -> Vec<String> {
    let name = hop.name;
    let mut arrived = arrived.to_vec();
    let mut found = Vec::new();
    for (envelope, replies) in envelopes.list.iter().zip(&replies.each) {
        assert!(replies.last().unwrap().starts_with("250"), "{name}: {replies:?}\n{}", server.log());
        // Servers pass messages on side by side, so in any order.
        let at = arrived.iter().position(|one| belongs(one, envelope));
        let at = at.unwrap_or_else(|| panic!("{name}: {:?} did not arrive: {arrived:?}", envelope.recipients));
        let one = arrived.remove(at);
        assert_same(&one.data, &envelope.message, name);
        found.push(one);
    }
    let refused = &replies.each[WITH_REFUSED][1];
    assert!(refused.starts_with("550") && refused.contains(hop.refusal), "{name}: {refused}");
    let plain = &found[PLAIN];
    assert!(found[EIGHT_BIT].mail.contains("BODY=8BITMIME"), "{name}: {}", found[EIGHT_BIT].mail);
    let smtputf8 = envelopes.smtputf8.map(|at| {
        assert!(found[at].mail.contains("SMTPUTF8"), "{name}: {}", found[at].mail);
    });
    let dsn = envelopes.dsn.map(|at| {
        let one = &found[at];
        assert!(one.mail.contains("RET=HDRS") && one.mail.contains("ENVID=q1"), "{name}: {}", one.mail);
        assert!(one.rcpts[0].contains("NOTIFY=SUCCESS,FAILURE"), "{name}: {:?}", one.rcpts);
        assert!(one.rcpts[0].contains("ORCPT=rfc822;bob@example.net"), "{name}: {:?}", one.rcpts);
    });
    if hop.upstream.contains("Xclient") {
        assert!(its_received(plain).contains("[127.0.0.77]"), "{name}: {}", its_received(plain));
    }
    let offered = |offered: Option<()>| if offered.is_some() { "yes" } else { "not offered" };
    let connection = if over_tls(plain) { "TLS" } else { "clear" };
    [
        connection,
        "yes",
        "yes",
        "its words are shown; the others get it",
        offered(smtputf8),
        offered(dsn),
        "yes",
        &format!("{opened} for {} messages", found.len()),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Whether this is what became of the envelope: the message, and the recipients but for the refused one.
fn belongs(one: &Received, envelope: &Envelope) -> bool {
    let wanted = envelope.recipients.iter().filter(|(address, _)| address != REFUSED);
    one.data.ends_with(&envelope.message)
        && one.rcpts.len() == wanted.clone().count()
        && wanted.clone().all(|(address, options)| {
            one.rcpts.iter().any(|rcpt| {
                rcpt.starts_with(&format!("<{address}>"))
                    && (rcpt.contains("NOTIFY=SUCCESS") != options.is_empty())
            })
        })
        && one.mail.contains("RET=HDRS") != envelope.options.iter().all(|o| o != "RET=HDRS")
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
        source: "127.0.0.77",
        tls: "implicit",
    };
    let envelope = Envelope::to(&["bob@example.net"], messages::plain());
    let replies = tokio::task::block_in_place(|| envelopes::send(&up, &door, &[envelope])).unwrap();
    assert!(replies.each[0][2].starts_with("250"), "{:?}\n{}\n{}", replies.each, up.log(), server.log());
    sink.wait_for(1).await;
    let received = its_received(&sink.take()[0]);
    assert!(received.to_lowercase().contains("esmtpsa"), "not logged in: {received}");
    "yes".to_owned()
}

/// The Received field that the server added, in one line.
fn its_received(one: &Received) -> String {
    let text = String::from_utf8_lossy(&one.data).replace("\r\n\t", " ").replace("\r\n ", " ");
    text.lines().find(|line| line.starts_with("Received: ")).unwrap_or_default().to_owned()
}

fn over_tls(one: &Received) -> bool {
    its_received(one).to_lowercase().contains("with esmtps")
}

/// How often the gateway has connected to a next hop.
fn connections(up: &Up) -> u64 {
    let series = up.metrics();
    series
        .lines()
        .filter(|line| line.starts_with("sekisho_upstream_duration_seconds_count") && line.contains("phase=\"connect\""))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}
