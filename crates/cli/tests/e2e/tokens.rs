//! Tokens, as curl and Python's smtplib show them: those of an identity provider in this process, and of service accounts.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use sekisho_testkit::{Sink, require};
use serde_json::{Value, json};

use crate::up::{Setup, Up, run};

const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";
const WORKLOAD: &str = "system:serviceaccount:shop:app";

/// The key that tokens are signed with.
struct Minter(KeyPair);

impl Minter {
    fn new() -> Self {
        Self(KeyPair::generate_for(&PKCS_ED25519).unwrap())
    }

    fn set(&self) -> Value {
        let x = BASE64URL.encode(self.0.public_key_raw());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig", "x": x }] })
    }

    /// A token of a service account for this audience.
    #[expect(
        clippy::disallowed_methods,
        reason = "the program that is tested goes by the real time"
    )]
    fn token(&self, audience: &str) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let claims = json!({
            "iss": CLUSTER, "aud": [audience], "sub": WORKLOAD, "iat": now, "exp": now + 600,
            "kubernetes.io": { "namespace": "shop", "serviceaccount": { "name": "app", "uid": "1" } },
        });
        let encode = |value: &Value| BASE64URL.encode(value.to_string());
        let header = json!({ "alg": "EdDSA", "kid": "k" });
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.0.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64URL.encode(signature))
    }
}

/// One message by curl, whose login is in the URL: a name on the command line ends at its first colon.
fn curl(up: &Up, mechanism: &str, account: &str, token: &str) -> (bool, String) {
    let message = up.file(
        "message",
        b"From: app@example.jp\r\nSubject: hello\r\n\r\nhello\r\n",
    );
    let account = account.replace(':', "%3A");
    let url = format!("smtp://{account}@{}", up.submission.address());
    let mut command = Command::new("curl");
    command
        .args([
            "--silent",
            "--show-error",
            "--verbose",
            "--ssl-reqd",
            "--insecure",
        ])
        .args(["--url", &url, "--oauth2-bearer", token])
        .args(["--login-options", &format!("AUTH={mechanism}")])
        .args([
            "--mail-from",
            "app@example.jp",
            "--mail-rcpt",
            "b@example.net",
        ])
        .arg("--upload-file")
        .arg(message);
    run(&mut command)
}

const SMTPLIB: &str = "
import smtplib, ssl, sys
port, mechanism, account, token = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
def xoauth2(challenge=None):
    return 'user=%s\\x01auth=Bearer %s\\x01\\x01' % (account, token) if challenge is None else ''
def oauthbearer(challenge=None):
    return 'n,,\\x01auth=Bearer %s\\x01\\x01' % token if challenge is None else '\\x01'
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP('127.0.0.1', port) as smtp:
    smtp.starttls(context=context)
    smtp.ehlo()
    print(smtp.auth(mechanism, xoauth2 if mechanism == 'XOAUTH2' else oauthbearer))
    smtp.sendmail('app@example.jp', ['b@example.net'], 'From: app@example.jp\\r\\nSubject: hello\\r\\n\\r\\nhello\\r\\n')
";

fn smtplib(up: &Up, mechanism: &str, account: &str, token: &str) -> (bool, String) {
    let mut command = Command::new("python3");
    let port = up.submission.number().to_string();
    run(command.args(["-c", SMTPLIB, &port, mechanism, account, token]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_and_smtplib_show_tokens_of_service_accounts() {
    if require("curl").is_none() || require("python3").is_none() {
        return;
    }
    let sink = Sink::start().await;
    let minter = Minter::new();
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("jwks.json");
    std::fs::write(&keys, minter.set().to_string()).unwrap();
    let backend = format!(
        "{{ type: ServiceAccount, serviceAccount: {{ audiences: [sekisho-smtp], namespaces: [shop], issuer: '{CLUSTER}', jwks: '{}' }} }}",
        keys.display()
    );
    let up = Up::start(&Setup {
        backend: &backend,
        mechanisms: "XOAUTH2, OAUTHBEARER",
        objects: "apiVersion: sekisho.dev/v1alpha1
kind: SubmissionPolicy
metadata: { name: policy }
spec:
  targetRefs: [{ name: gate }]
  sender: { envelope: MustMatchAccount, aliases: [{ account: 'system:serviceaccount:shop:app', addresses: [app@example.jp] }] }
",
        ..Setup::to(sink.address())
    });
    let good = minter.token("sekisho-smtp");
    for mechanism in ["XOAUTH2", "OAUTHBEARER"] {
        for client in [curl, smtplib] {
            let (success, said) = client(&up, mechanism, WORKLOAD, &good);
            assert!(success, "{mechanism}: {said}\n{}", up.log());
        }
        for wrong in [minter.token(CLUSTER), Minter::new().token("sekisho-smtp")] {
            for client in [curl, smtplib] {
                let (success, said) = client(&up, mechanism, WORKLOAD, &wrong);
                assert!(!success && said.contains("535"), "{mechanism}: {said}");
            }
        }
    }
    let (success, said) = curl(&up, "XOAUTH2", "system:serviceaccount:shop:other", &good);
    assert!(!success, "{said}");
    assert_eq!(sink.wait_for(4).await.len(), 4);
    let log = up.log();
    assert!(!log.contains(&good[good.len() - 40..]), "{log}");
    let metrics = up.metrics();
    let accepted = r#"sekisho_login_service_requests_total{answer="accepted",gateway="default/gate",service="service_account"} 4"#;
    assert!(metrics.contains(accepted), "{metrics}");
}
