//! Mail programs and libraries in front of Sekisho: what each sends over both listeners, and what it shows of refusals.

use sekisho_testkit::{Received, Sink};

use super::page::{self, Table};
use super::programs::{self, Job, Listener, Said};
use super::{lettre, messages};
use crate::up::{ACCOUNT, PASSWORD, Setup, Up};

pub(super) const TABLE: Table = Table {
    heading: "Clients",
    intro: "
Each logs in by each mechanism that is named, and sends a plain message; dots where they end messages, with lines of 998 and of 3,992
octets; UTF-8 as 8 bits; 5 MiB; and to 20 recipients, one of whom the next hop refuses. What arrives is the same octet for octet below
our Received field. What it must not send (a wrong password, 7 MiB where 6 are allowed, another's sender address) is refused, and
the user sees the reply with its words.",
    columns: &[
        "client", "version", "AUTH", "plain", "dots, long lines", "8-bit", "5 MiB", "1 of 20 refused",
        "wrong password", "too large", "another's address", "notes",
    ],
};

struct Client {
    name: &'static str,
    /// Whether it is there, and which.
    version: fn() -> Option<String>,
    mechanisms: &'static [&'static str],
    send: fn(&Job<'_>) -> Said,
    notes: &'static str,
}

const CLIENTS: &[Client] = &[
    Client {
        name: "swaks",
        version: || programs::version_of("swaks", &["--version"], "version "),
        mechanisms: &["PLAIN", "LOGIN"],
        send: programs::swaks,
        notes: "with `--pipeline`",
    },
    Client {
        name: "curl",
        version: || programs::version_of("curl", &["--version"], "curl "),
        mechanisms: &["PLAIN", "LOGIN"],
        send: programs::curl,
        notes: "with `--mail-rcpt-allowfails`",
    },
    Client {
        name: "msmtp",
        version: || programs::version_of("msmtp", &["--version"], "version "),
        mechanisms: &["PLAIN", "LOGIN"],
        send: programs::msmtp,
        notes: "",
    },
    Client {
        name: "Python smtplib",
        version: || programs::version_of("python3", &["--version"], "Python "),
        mechanisms: &["PLAIN", "LOGIN"],
        send: programs::smtplib,
        notes: "`sendmail`",
    },
    Client {
        name: "nodemailer",
        version: programs::nodemailer_version,
        mechanisms: &["PLAIN", "LOGIN"],
        send: programs::nodemailer,
        notes: "pipelines",
    },
    Client {
        name: "lettre",
        version: || programs::crate_version("lettre"),
        mechanisms: &["PLAIN", "LOGIN"],
        send: lettre::send,
        notes: "",
    },
    Client {
        name: "Go net/smtp",
        version: programs::go_version,
        mechanisms: &["PLAIN", "LOGIN"],
        send: programs::net_smtp,
        notes: "LOGIN by an `Auth` of the program's own; it says SMTPUTF8 of every message where that is offered",
    },
];

pub(super) fn names() -> Vec<&'static str> {
    CLIENTS.iter().map(|client| client.name).collect()
}

/// The address that the next hop refuses, and its words.
const REFUSED: &str = "nobody@example.net";
const REFUSAL: (&str, &str) = ("550", "5.1.1 nobody of that name");

const WRONG_PASSWORD: &str = "kumo-no-kanata";

/// One gateway, the next hop behind it, and a client before it.
struct Trial<'a> {
    client: &'a Client,
    up: Up,
    sink: Sink,
}

pub(super) async fn try_one(name: &str) {
    let client = CLIENTS.iter().find(|client| client.name == name).unwrap();
    let Some(version) = (client.version)() else {
        return;
    };
    let sink = Sink::start().await;
    sink.refuse_recipient(REFUSED, &format!("{} {}", REFUSAL.0, REFUSAL.1));
    let objects = format!(
        "apiVersion: sekisho.dev/v1alpha1
kind: SubmissionPolicy
metadata: {{ name: house }}
spec:
  targetRefs: [{{ name: gate }}]
  message: {{ maxSize: {} }}
  sender: {{ envelope: MustMatchAccount, header: MustMatchAccount }}",
        messages::MOST
    );
    let mechanisms = client.mechanisms.join(", ");
    let mut setup = Setup::to(sink.address());
    setup.mechanisms = &mechanisms;
    setup.objects = &objects;
    let trial = Trial {
        client,
        up: Up::start(&setup),
        sink,
    };
    // Programs are waited for, which must not hold up the sink.
    let (first, second) = tokio::task::block_in_place(|| {
        (
            trial.cells(Listener::StartTls),
            trial.cells(Listener::Implicit),
        )
    });
    assert_eq!(first, second, "{name}: the listeners differ");
    assert!(
        !trial.up.log().contains(WRONG_PASSWORD),
        "the password is in the log: {}",
        trial.up.log()
    );
    page::row(&TABLE, name, &version, &first);
}

impl Trial<'_> {
    fn cells(&self, listener: Listener) -> Vec<String> {
        let first = self.client.mechanisms[0];
        let mut cells = vec![self.client.mechanisms.join(", ")];
        for mechanism in self.client.mechanisms {
            self.arrives(&self.job(listener, mechanism, &messages::plain()));
        }
        cells.push("yes".to_owned());
        for message in [
            messages::dots_and_long_lines(true),
            messages::eight_bit(),
            messages::large(),
        ] {
            self.arrives(&self.job(listener, first, &message));
            cells.push("yes".to_owned());
        }
        cells.push(self.one_of_many_refused(listener));
        cells.extend(self.refusals(listener));
        cells.push(self.client.notes.to_owned());
        cells
    }

    fn job<'a>(&'a self, listener: Listener, mechanism: &'a str, message: &'a [u8]) -> Job<'a> {
        Job {
            up: &self.up,
            listener,
            mechanism,
            password: PASSWORD,
            sender: ACCOUNT,
            recipients: &[],
            message,
        }
    }

    /// Sends, and takes out what arrived. The last reply is ours after the sink's, so nothing is waited for.
    fn send(&self, job: &Job<'_>) -> (Said, Vec<Received>) {
        let recipients = ["bob@example.net".to_owned()];
        let job = Job {
            recipients: if job.recipients.is_empty() {
                &recipients
            } else {
                job.recipients
            },
            ..*job
        };
        let said = (self.client.send)(&job);
        (said, self.sink.take())
    }

    fn arrives(&self, job: &Job<'_>) {
        let ((success, said), arrived) = self.send(job);
        assert!(success, "{}: {said}\n{}", self.about(job), self.up.log());
        assert_eq!(arrived.len(), 1, "{}: {said}", self.about(job));
        assert_same(&arrived[0].data, job.message, &self.about(job));
    }

    fn one_of_many_refused(&self, listener: Listener) -> String {
        let mut recipients: Vec<String> = (0..19).map(|n| format!("r{n}@example.net")).collect();
        recipients.insert(7, REFUSED.to_owned());
        let message = messages::plain();
        let job = Job {
            recipients: &recipients,
            ..self.job(listener, self.client.mechanisms[0], &message)
        };
        let ((_, said), arrived) = self.send(&job);
        self.shows(&job, &said, REFUSAL);
        match &arrived[..] {
            [] => "shown; nobody gets it".to_owned(),
            [one] => {
                assert_eq!(one.rcpts.len(), 19, "{}: {:?}", self.about(&job), one.rcpts);
                assert_same(&one.data, &message, &self.about(&job));
                "shown; the others get it".to_owned()
            }
            more => panic!("{}: {} messages arrived", self.about(&job), more.len()),
        }
    }

    /// What must be refused, and what the user sees of it.
    fn refusals(&self, listener: Listener) -> Vec<String> {
        let first = self.client.mechanisms[0];
        let plain = messages::plain();
        let too_large = messages::too_large();
        for mechanism in &self.client.mechanisms[1..] {
            let wrong = Job {
                password: WRONG_PASSWORD,
                ..self.job(listener, mechanism, &plain)
            };
            self.refused(&wrong, ("535", "5.7.8"));
        }
        let wrong = Job {
            password: WRONG_PASSWORD,
            ..self.job(listener, first, &plain)
        };
        let large = self.job(listener, first, &too_large);
        let anothers = Job {
            sender: "mallory@example.jp",
            ..self.job(listener, first, &plain)
        };
        vec![
            self.refused(&wrong, ("535", "5.7.8")),
            self.refused(&large, ("552", "5.3.4")),
            self.refused(&anothers, ("550", "5.7.1")),
        ]
    }

    fn refused(&self, job: &Job<'_>, reply: (&str, &str)) -> String {
        let ((success, said), arrived) = self.send(job);
        assert!(
            !success && arrived.is_empty(),
            "{}: {said}",
            self.about(job)
        );
        self.shows(job, &said, reply);
        format!("{} {} shown", reply.0, reply.1)
    }

    fn shows(&self, job: &Job<'_>, said: &str, (code, words): (&str, &str)) {
        assert!(
            said.contains(code) && said.contains(words),
            "{}: shows no {code} {words}: {said}\n{}",
            self.about(job),
            self.up.log()
        );
    }

    fn about(&self, job: &Job<'_>) -> String {
        format!(
            "{} ({:?}, {}, {} octets, {} recipients)",
            self.client.name,
            job.listener,
            job.mechanism,
            job.message.len(),
            job.recipients.len()
        )
    }
}

/// What arrived is a Received field of ours and the message, octet for octet.
pub(super) fn assert_same(arrived: &[u8], sent: &[u8], about: &str) {
    let above = arrived.strip_suffix(sent).unwrap_or_else(|| {
        let shown =
            |octets: &[u8]| String::from_utf8_lossy(&octets[..octets.len().min(2000)]).into_owned();
        panic!(
            "{about}: not the same\n--- sent\n{}\n--- arrived\n{}",
            shown(sent),
            shown(arrived)
        )
    });
    let above = String::from_utf8_lossy(above);
    assert!(above.contains("Received: from "), "{about}: {above}");
}
