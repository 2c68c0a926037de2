//! Postfix's smtp-source in front, with many messages at once. What else comes in is in `interop`.

use std::process::Command;

use sekisho_testkit::{Sink, require};

use crate::up::{Setup, Up, run};

/// smtp-source cannot log in or speak TLS: a listener without TLS where no login is required.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smtp_source_sends_many() {
    let Some(program) = require("smtp-source") else {
        return;
    };
    let sink = Sink::start().await;
    let mut setup = Setup::to(sink.address());
    setup.backend = "{ type: Upstream }";
    let plain = sekisho_testkit::Port::free();
    let object = format!(
        "apiVersion: sekisho.dev/v1alpha1
kind: MailGateway
metadata: {{ name: plain }}
spec:
  listeners: [{{ name: plain, port: {}, tls: \"Off\" }}]
  authentication: {{ requirement: Optional, backends: [{{ type: Upstream }}] }}
  upstream: {{ endpoints: [{{ address: \"{}\" }}], tls: \"Off\" }}",
        plain.number(),
        sink.address()
    );
    setup.objects = &object;
    let up = Up::start(&setup);
    sekisho_testkit::wait_for_port(plain.address());
    for flags in [&[][..], &["-d"]] {
        let mut command = Command::new(&program);
        command.args([
            "-s",
            "10",
            "-m",
            "200",
            "-l",
            "4096",
            "-f",
            "a@example.jp",
            "-t",
            "b@example.net",
        ]);
        let (success, said) = run(command.args(flags).arg(plain.address().to_string()));
        assert!(success, "{said}\n{}", up.log());
    }
    assert_eq!(sink.wait_for(400).await.len(), 400);
}
