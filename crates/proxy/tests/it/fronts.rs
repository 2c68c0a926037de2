//! What stands before a gateway or connects to it: TLS clients that ask for names, load balancers that tell addresses.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

use sekisho_testkit::Peer;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;

use crate::world::{BEGINNING, Objects, World};

/// What OpenSSL's client says of the certificate that it is shown when it asks for `name`, if that one must be `trusted`'s and for `host`.
async fn verified(at: SocketAddr, starts: &[&str], name: &str, trusted: &Path, host: &str) -> bool {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", &at.to_string(), "-attime"]);
    client.arg((BEGINNING / 1000 + 60).to_string());
    client.args(["-verify_return_error", "-verify_hostname", host, "-CAfile"]);
    client.arg(trusted).args(starts);
    match name {
        "" => client.arg("-noservername"),
        name => client.args(["-servername", name]),
    };
    client.stdin(Stdio::null());
    let output = spawn_blocking(move || client.output()).await.unwrap();
    let output = output.expect("openssl can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    output.status.success() && said.contains("Verify return code: 0 (ok)")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_name_gets_its_own_certificate() {
    let mut objects = Objects::new();
    let certificates = json!(["alpha", "beta"]);
    objects.set(
        "gateway",
        "",
        &json!({ "listeners": [
            { "name": "submission", "port": 0, "tls": "StartTls", "certificates": certificates },
            { "name": "submissions", "port": 0, "tls": "Implicit", "certificates": certificates },
        ] }),
    );
    let (world, _sink) = World::before_a_sink(&mut objects).await;
    for (listener, starts) in [
        ("submission", &["-starttls", "smtp"][..]),
        ("submissions", &[]),
    ] {
        let at = world.gateway.address(listener).await.unwrap();
        // What is asked for, and whose certificate comes; the first one where the name is nobody's, or none.
        for (name, whose) in [
            ("alpha.example.jp", "alpha"),
            ("beta.example.jp", "beta"),
            ("BETA.example.jp", "beta"),
            ("gamma.example.jp", "alpha"),
            ("", "alpha"),
        ] {
            for other in ["alpha", "beta"] {
                let trusted = world.certificates.join(format!("{other}.pem"));
                let host = format!("{other}.example.jp");
                let fits = verified(at, starts, name, &trusted, &host).await;
                assert_eq!(fits, other == whose, "{listener}: {name:?} and {other}");
            }
        }
    }
}

/// A PROXY header of version 2 for a client over TCP and IPv4.
fn proxy_header(client: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(client.octets());
    header.extend([192, 0, 2, 1]);
    header.extend(port.to_be_bytes());
    header.extend(587_u16.to_be_bytes());
    header
}

/// Behind a load balancer all connections come from one address; places are shared out by the addresses that it tells.
#[tokio::test]
async fn places_are_shared_out_by_the_addresses_that_a_load_balancer_tells() {
    let mut objects = Objects::new();
    let limits = json!({ "connections": 20, "connectionsPerSource": 20 });
    objects.set("gateway", "", &json!({ "limits": limits }));
    let from = json!({ "proxyFrom": ["127.0.0.0/8"] });
    objects.set("listener", "", &from);
    let (world, _sink) = World::before_a_sink(&mut objects).await;
    let address = world.gateway.address("submission").await.unwrap();
    let connect = async |client: [u8; 4], port: u16| -> Peer<TcpStream> {
        let mut peer = Peer::connect(address).await;
        peer.send(&proxy_header(client.into(), port)).await;
        peer
    };
    let mut greedy = Vec::new();
    for port in 1..=16 {
        let mut one = connect([203, 0, 113, 9], port).await;
        one.reply(220).await;
        greedy.push(one);
    }
    let mut refused = connect([203, 0, 113, 9], 17).await;
    refused.reply(421).await;
    refused.closed().await;
    let mut others = Vec::new();
    for host in 1..=3 {
        let mut other = connect([198, 51, 100, host], 1).await;
        let greeted = other.reply(220).await;
        other.ask("EHLO pc.example.jp", 250).await;
        others.push((other, greeted));
    }
    // A place that is given up is there for whoever has few.
    drop(greedy.pop());
    let mut last = connect([198, 51, 100, 4], 1).await;
    last.reply(220).await;
}
