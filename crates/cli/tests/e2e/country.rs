//! The country database of npm's `@ip-location-db/geo-whois-asn-country-mmdb`, asked about clients that a PROXY header names.

use std::process::Command;

use sekisho_testkit::{Sink, country_database, require};

use crate::up::{ACCOUNT, PASSWORD, Setup, Up, run};

/// Begins with a PROXY v2 header that names the client, then logs in over STARTTLS.
const PROXIED: &str = r#"
import base64, socket, ssl, struct, sys
port, account, password = int(sys.argv[1]), *sys.argv[2:4]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
def session(address):
    raw = socket.create_connection(("127.0.0.1", port))
    body = socket.inet_aton(address) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 40000, port)
    raw.sendall(b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, 0x11]) + struct.pack("!H", len(body)) + body)
    def reply(stream):
        said = b""
        while not said.endswith(b"\n") or said.splitlines()[-1][3:4] == b"-":
            part = stream.recv(4096)
            if not part:
                return "closed"
            said += part
        return said.decode().splitlines()[-1]
    def say(stream, line):
        stream.sendall(line + b"\r\n")
        return reply(stream)
    reply(raw)
    say(raw, b"EHLO raw.test")
    say(raw, b"STARTTLS")
    tls = context.wrap_socket(raw)
    say(tls, b"EHLO raw.test")
    return say(tls, b"AUTH PLAIN " + base64.b64encode(f"\0{account}\0{password}".encode()))
for address in sys.argv[4:]:
    print(address, session(address))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_from_abroad_are_refused_by_the_database() {
    let Some(python) = require("python3") else {
        return;
    };
    let Some(database) = country_database() else {
        return;
    };
    let sink = Sink::start().await;
    let geo = format!(
        "  home: [JP]\n  geo: {{ countryDatabase: {{ path: {} }} }}",
        database.display()
    );
    let mut setup = Setup::to(sink.address());
    setup.gateway_fields = &geo;
    setup.listener_fields = "proxyProtocol: { mode: Required, from: [127.0.0.0/8] }";
    setup.objects = "apiVersion: sekisho.dev/v1alpha1
kind: CountryRule
metadata: { name: abroad }
spec:
  targetRefs: [{ group: sekisho.dev, kind: MailGateway, name: gate }]
  from: { abroad: {} }
  exempt: { networks: [198.41.0.0/24] }
  then: { login: Refuse }";
    let up = Up::start(&setup);
    let mut command = Command::new(python);
    command.arg(up.file("proxied.py", PROXIED.as_bytes()));
    command.args([&up.submission.number().to_string(), ACCOUNT, PASSWORD]);
    // JPRS and IIJ in Japan; RIPE NCC in the Netherlands; a network of no country; a root server that the rule exempts.
    let (_, said) = run(command.args([
        "203.119.1.1",
        "202.232.2.1",
        "193.0.6.139",
        "10.1.2.3",
        "198.41.0.4",
    ]));
    let replies: Vec<&str> = said.lines().collect();
    assert_eq!(replies.len(), 5, "{said}\n{}", up.log());
    for (reply, expected) in replies
        .iter()
        .zip(["235", "235", "535 5.7.8", "235", "235"])
    {
        let told = reply.split_once(' ').map_or("", |(_, told)| told);
        assert!(
            told.starts_with(expected),
            "{reply}, expected {expected}\n{said}"
        );
    }
}
