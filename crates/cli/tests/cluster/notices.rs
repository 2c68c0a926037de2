//! A rule restricts an account, and whoever its channels are hears of it: once, signed, from whichever replica holds the lease.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustix::process::Signal;
use sekisho_testkit::{BoundTo, Desk, PostgresServer};
use serde_json::{Value, json};

use crate::mail::Mail;
use crate::site::{Control, SYSTEM, Site};

const SECRET: &str = "hush-hush-of-the-desk";

/// The next message, which is signed as it should be.
#[track_caller]
fn next(desk: &Desk) -> Value {
    let heard = desk.next();
    assert!(heard.is_signed_by(SECRET.as_bytes()), "{heard:?}");
    assert_eq!(heard.body["id"], heard.field("idempotency-key"));
    heard.body
}

/// A rule whose worst step tells the desk, and somebody where no channel may be.
fn rule(desk: SocketAddr) -> String {
    format!(
        "apiVersion: sekisho.dev/v1alpha1
kind: AbuseRule
metadata: {{ name: stolen, namespace: mail }}
spec:
  targetRefs: [{{ name: outbound }}]
  signals: [{{ signal: UnknownRecipients, count: 3, per: 1h, points: 60 }}]
  ladder: [{{ at: 60, restrict: {{ level: Suspend }}, notify: [{{ name: desk }}, {{ name: metadata }}] }}]
---
apiVersion: sekisho.dev/v1alpha1
kind: NotificationChannel
metadata: {{ name: desk, namespace: mail }}
spec: {{ type: Webhook, url: \"http://{desk}/heard\", secretRef: {{ name: desk }} }}
---
apiVersion: sekisho.dev/v1alpha1
kind: NotificationChannel
metadata: {{ name: metadata, namespace: mail }}
spec: {{ type: Webhook, url: \"http://169.254.169.254/latest\", secretRef: {{ name: desk }} }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: desk, namespace: mail }}
stringData: {{ secret: {SECRET} }}
"
    )
}

/// A proxy of `mail/outbound`, as the control plane sees it.
struct Teller<'a> {
    site: &'a Site,
    token: String,
    authorities: PathBuf,
}

impl<'a> Teller<'a> {
    fn new(site: &'a Site, pod: &str) -> Self {
        let account = "sekisho-outbound";
        site.eventually("the service account", || {
            site.find("serviceaccount", "mail", account)
        });
        let snapshot = site.eventually("the snapshot", || site.find("configmap", "mail", account));
        site.pod("mail", pod, account, "{ sekisho.dev/proxy-of: outbound }");
        let bound = BoundTo::Pod(pod);
        let audience = Some("sekisho-control");
        Self {
            site,
            token: site.plane.token("mail", account, audience, bound),
            authorities: site.file(snapshot["data"]["ca.crt"].as_str().unwrap()),
        }
    }

    /// A request to a replica; the status is the last line of what is printed.
    fn asking(&self, control: &Control, path: &str) -> Command {
        let address = control.fleet.address();
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
            .arg(&self.authorities)
            .args(["--header", &format!("Authorization: Bearer {}", self.token)])
            .args(["--write-out", "\n%{http_code}"])
            .arg(format!("https://{address}{path}?gateway=mail/outbound"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Waits until a replica knows of the rule's channels.
    fn knows(&self, control: &Control, desk: SocketAddr) {
        self.site.eventually("the rule at a replica", || {
            let asked = self.asking(control, "/v1/config").spawn().unwrap();
            said(asked).contains(&desk.to_string()).then_some(())
        });
    }

    /// Tells what the rule imposed on an account.
    fn tell(&self, control: &Control, account: &str, decision: &str) {
        let said = said(self.telling(control, account, decision));
        assert!(said.ends_with("\n200"), "{said}");
    }

    /// Begins to tell.
    fn telling(&self, control: &Control, account: &str, decision: &str) -> Child {
        // A clock that is ahead is put right, so that this needs none.
        let restriction = json!({
            "level": "Suspend", "since": 4_102_444_800_000_u64, "why": "60 points: UnknownRecipients 60", "decision": decision,
            "origin": { "Rule": { "kind": "AbuseRule", "namespace": "mail", "name": "stolen" } },
        });
        let body = json!({ "impositions": [{ "account": account, "restriction": restriction }] });
        let mut command = self.asking(control, "/v1/state");
        command.args(["--data", &body.to_string()]).spawn().unwrap()
    }
}

fn said(asked: Child) -> String {
    let output = asked.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    said.into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn holds(site: &Site, pod: &str) {
    site.eventually(&format!("the lease of {pod}"), || {
        let lease = site.find("lease", SYSTEM, "sekisho-control")?;
        (lease["spec"]["holderIdentity"] == pod).then_some(())
    });
}

/// Whether the rule's status complains that nobody is told.
fn complains(site: &Site) -> bool {
    let rule = site.find("abuserule", "mail", "stolen").unwrap();
    let conditions = rule["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|each| each["type"] == "NotAvailable"))
}

#[test]
fn without_a_store_the_rule_says_that_nobody_is_told() {
    let Some(mail) = Mail::set_up(&["store.type=None"]) else {
        return;
    };
    let site = &mail.site;
    site.plane.apply(&rule(Desk::open().address()));
    let bare = site.control("control-0", &[]);
    let said = site.condition(
        "abuserule",
        "mail/stolen",
        "NotAvailable",
        "True",
        "NotAvailable",
    );
    assert!(
        said.contains("nobody is told") && said.contains("accounts.databaseSecret"),
        "{said}"
    );
    assert!(bare.process.terminate().success());
    let folder = site.file("").with_extension("store");
    let _control = site.control("control-1", &["--store", folder.to_str().unwrap()]);
    site.eventually("no complaint", || (!complains(site)).then_some(()));
}

#[test]
fn two_replicas_tell_a_channel_once_and_the_next_holder_tells_what_waits() {
    let Some(database) = PostgresServer::start() else {
        return;
    };
    let Some(mail) = Mail::set_up(&[]) else {
        return;
    };
    let (site, desk) = (&mail.site, Desk::open());
    site.plane.apply(&rule(desk.address()));
    let address = site.file(&database.address("postgres"));
    let shared = [
        "--accounts-database",
        address.to_str().unwrap(),
        "--channel-network",
        "127.0.0.0/8",
    ];
    let mut first = site.control("control-0", &shared);
    holds(site, "control-0");
    let mut second = site.control("control-1", &shared);
    let (one, other) = (Teller::new(site, "out-0"), Teller::new(site, "out-1"));
    one.knows(&first, desk.address());
    one.knows(&second, desk.address());

    // The same from one proxy at both replicas at once, as after an answer that was lost; then another proxy found it as well.
    let told = [&first, &second].map(|at| one.telling(at, "alice@example.jp", "0000-0000-0001"));
    for each in told {
        let said = said(each);
        assert!(said.ends_with("\n200"), "{said}");
    }
    other.tell(&second, "alice@example.jp", "0000-0000-0002");
    let told = next(&desk);
    assert_eq!(
        (&told["account"], &told["restriction"]["level"]),
        (&json!("alice@example.jp"), &json!("Suspend"))
    );
    other.tell(&second, "bob@example.jp", "0000-0000-0003");
    assert_eq!(
        next(&desk)["account"],
        "bob@example.jp",
        "alice was told once"
    );
    first.process.wait_for_output("169.254.169.254, a private");

    // The holder dies while the desk is away: the next one tells, by the same id.
    desk.answers("503 Service Unavailable");
    one.tell(&first, "carol@example.jp", "0000-0000-0004");
    let failed = next(&desk);
    assert_eq!(failed["account"], "carol@example.jp");
    first.process.signal(Signal::KILL);
    desk.answers("204 No Content");
    assert_eq!(next(&desk), failed);
    second.process.wait_for_output("a channel was told");
    assert!(desk.has_heard_no_more());

    nobody_else_knows_the_secret(site, &first, &second);
}

/// Neither logs, nor what proxies get.
fn nobody_else_knows_the_secret(site: &Site, first: &Control, second: &Control) {
    for control in [first, second] {
        assert!(!control.process.output().contains(SECRET));
    }
    let own = site.find("secret", "mail", "sekisho-outbound").unwrap();
    let encoded = BASE64.encode(SECRET);
    assert!(own["data"].is_object() && !own.to_string().contains(&encoded));
}
