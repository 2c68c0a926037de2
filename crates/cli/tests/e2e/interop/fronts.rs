//! Proxies before Sekisho: the client's address, and the login where they take it, must arrive.

use std::path::Path;
use std::process::Command;

use sekisho_runtime::Clock;
use sekisho_runtime::tls::self_signed;
use sekisho_testkit::{Port, Process, Sink, require, skip, wait_for_port};

use super::clients::assert_same;
use super::envelopes::{self, Door, Envelope};
use super::page::{self, Table};
use super::{messages, programs};
use crate::up::{ACCOUNT, PASSWORD, Setup, Up};

pub(super) const TABLE: Table = Table {
    heading: "Proxies in front",
    intro: "
A client with an address of its own comes in through the proxy, by STARTTLS and by TLS from the first octet. The record of its message
(`sekisho explain`) and our Received field name the client, not the proxy.",
    columns: &["proxy", "version", "speaks to us by", "TLS ends at", "login", "client's address", "notes"],
};

struct Front {
    name: &'static str,
    version: fn() -> Option<String>,
    /// Fields of our listener, beside its name and port.
    listener: [&'static str; 2],
    start: fn(&Place) -> Option<Process>,
    cells: [&'static str; 5],
}

const FRONTS: &[Front] = &[
    Front {
        name: "nginx mail proxy",
        version: || programs::version_of("nginx", &["-v"], "nginx/"),
        listener: ["tls: \"Off\", xclientFrom: [127.0.0.1/32]"; 2],
        start: nginx,
        cells: [
            "XCLIENT (`xclientFrom`)",
            "nginx",
            "checked by `auth_http`, arrives by XCLIENT LOGIN",
            "arrives by XCLIENT ADDR",
            "`tls: \"Off\"`, since nginx speaks to mail servers in the clear",
        ],
    },
    Front {
        name: "HAProxy",
        version: || programs::version_of("haproxy", &["-v"], "HAProxy version "),
        listener: [
            "tls: StartTls, proxyProtocol: { mode: Required, from: [127.0.0.1/32] }",
            "tls: Implicit, proxyProtocol: { mode: Required, from: [127.0.0.1/32] }",
        ],
        start: haproxy,
        cells: [
            "PROXY version 2 (`proxyProtocol`)",
            "Sekisho",
            "passes through",
            "arrives by PROXY",
            "`mode tcp`, `send-proxy-v2`",
        ],
    },
];

pub(super) fn names() -> Vec<&'static str> {
    FRONTS.iter().map(|front| front.name).collect()
}

const CLIENT: &str = "127.0.0.77";

/// Ports in front and behind, for STARTTLS and for implicit TLS, and a folder.
struct Place {
    front: [Port; 2],
    behind: [Port; 2],
    http: Port,
    folder: tempfile::TempDir,
}

pub(super) async fn try_one(name: &str) {
    let front = FRONTS.iter().find(|front| front.name == name).unwrap();
    let Some(version) = (front.version)() else {
        return;
    };
    let place = Place {
        front: [Port::free(), Port::free()],
        behind: [Port::free(), Port::free()],
        http: Port::free(),
        folder: tempfile::tempdir().unwrap(),
    };
    let sink = Sink::start().await;
    let up = gateway(front, &place, &sink);
    let Some(_proxy) = tokio::task::block_in_place(|| (front.start)(&place)) else {
        return;
    };
    for (port, tls) in place.front.iter().zip(["starttls", "implicit"]) {
        tokio::task::block_in_place(|| wait_for_port(port.address()));
        let door = Door {
            port: port.number(),
            source: CLIENT,
            tls,
        };
        let envelope = Envelope::to(&["bob@example.net"], messages::dots_and_long_lines(true));
        let sent = std::slice::from_ref(&envelope);
        let Some(replies) = tokio::task::block_in_place(|| envelopes::send(&up, &door, sent))
        else {
            return;
        };
        let last = replies.each[0].last().unwrap();
        assert!(
            last.starts_with("250"),
            "{name}, {tls}: {last}\n{}",
            up.log()
        );
        let arrived = sink.take();
        assert_eq!(arrived.len(), 1, "{name}, {tls}");
        assert_same(&arrived[0].data, &envelope.message, name);
        let data = String::from_utf8_lossy(&arrived[0].data).into_owned();
        let received = data.split(";").next().unwrap();
        assert!(
            received.contains(&format!("[{CLIENT}]")),
            "{name}, {tls}: {received}"
        );
        let id = last
            .rsplit_once('[')
            .and_then(|(_, id)| id.split_once(']'))
            .unwrap()
            .0;
        let record = tokio::task::block_in_place(|| up.explained(id));
        assert!(
            record.contains(CLIENT) && record.contains(ACCOUNT),
            "{name}, {tls}: {record}"
        );
    }
    page::row(&TABLE, name, &version, &front.cells.map(str::to_owned));
}

/// A gateway that the proxy is before.
fn gateway(front: &Front, place: &Place, sink: &Sink) -> Up {
    let [first, second] = [0, 1].map(|n| {
        let port = place.behind[n].number();
        format!("{{ name: l{n}, port: {port}, {} }}", front.listener[n])
    });
    let object = format!(
        "apiVersion: sekisho.dev/v1alpha1
kind: MailGateway
metadata: {{ name: behind }}
spec:
  listeners: [{first}, {second}]
  authentication: {{ backends: [{{ type: AccountsFile, accountsFile: {{ path: accounts }} }}] }}
  upstream: {{ endpoints: [{{ address: \"{}\" }}], tls: \"Off\" }}",
        sink.address()
    );
    let mut setup = Setup::to(sink.address());
    setup.objects = &object;
    let up = Up::start(&setup);
    for port in &place.behind {
        wait_for_port(port.address());
    }
    up
}

const MAIL_MODULE: &str = "/usr/lib/nginx/modules/ngx_mail_module.so";

/// It asks a web service whether a password is right; here that is nginx itself.
fn nginx(place: &Place) -> Option<Process> {
    let program = require("nginx")?;
    if !Path::new(MAIL_MODULE).exists() {
        skip("libnginx-mod-mail is not installed (`make setup` installs it)");
        return None;
    }
    let root = place.folder.path();
    let certificate = root.join("front.pem");
    self_signed(
        &certificate,
        &["front.test".to_owned()],
        Clock::system().now_ms(),
    )
    .unwrap();
    let [starttls, implicit] = [0, 1].map(|n| place.front[n].address());
    let behind = place.behind[0].number();
    let http = place.http.address();
    let text = format!(
        "load_module {MAIL_MODULE};
daemon off;
worker_processes 1;
pid {root}/pid;
error_log stderr info;
events {{ }}
mail {{
  server_name nginx.test;
  auth_http {http}/;
  proxy_pass_error_message on;
  smtp_auth plain login;
  smtp_capabilities \"SIZE 26214400\" 8BITMIME;
  ssl_certificate {certificate};
  ssl_certificate_key {certificate};
  server {{ listen {starttls}; protocol smtp; starttls on; }}
  server {{ listen {implicit} ssl; protocol smtp; }}
}}
http {{
  access_log off;
  map \"$http_auth_user $http_auth_pass\" $verdict {{
    default \"Invalid login or password\";
    \"{ACCOUNT} {escaped}\" OK;
  }}
  server {{
    listen {http};
    location / {{
      add_header Auth-Status $verdict;
      add_header Auth-Server 127.0.0.1;
      add_header Auth-Port {behind};
      return 204;
    }}
  }}
}}
",
        root = root.display(),
        certificate = certificate.display(),
        // As nginx writes it into a header of its request.
        escaped = PASSWORD.replace(' ', "%20"),
    );
    let path = root.join("nginx.conf");
    std::fs::write(&path, text).unwrap();
    let mut command = Command::new(program);
    command
        .arg("-e")
        .arg("stderr")
        .arg("-p")
        .arg(root)
        .arg("-c")
        .arg(path);
    Some(Process::spawn(command))
}

/// It passes octets on as they are, after a header that says where they come from.
fn haproxy(place: &Place) -> Option<Process> {
    let program = require("haproxy")?;
    let mut text = String::from(
        "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n",
    );
    for (n, (front, behind)) in place.front.iter().zip(&place.behind).enumerate() {
        text += &format!(
            "listen l{n}\n  bind {}\n  server s {} send-proxy-v2\n",
            front.address(),
            behind.address()
        );
    }
    let path = place.folder.path().join("haproxy.cfg");
    std::fs::write(&path, text).unwrap();
    let mut command = Command::new(program);
    command.arg("-f").arg(path);
    Some(Process::spawn(command))
}
