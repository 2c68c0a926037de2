//! Against a server on loopback that answers from a table.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, MX, PTR};
use hickory_resolver::proto::rr::{RData, Record};
use tokio::net::UdpSocket;

use super::*;

/// What the server says to one question.
#[derive(Clone)]
enum Says {
    Records(Vec<RData>),
    Code(ResponseCode),
    Nothing,
}

struct Server {
    dns: Dns,
    asked: Arc<AtomicUsize>,
    metrics: Metrics,
}

fn name(text: &str) -> Name {
    Name::from_str(text).unwrap()
}

fn a(address: &str) -> RData {
    RData::A(A(address.parse().unwrap()))
}

fn aaaa(address: &str) -> RData {
    RData::AAAA(AAAA(address.parse().unwrap()))
}

fn ptr(target: &str) -> RData {
    RData::PTR(PTR(name(target)))
}

fn mx(preference: u16, exchange: &str) -> RData {
    RData::MX(MX::new(preference, name(exchange)))
}

/// Names that are not in the table do not exist; kinds that a name does not have are absent.
async fn server(table: &[(&str, RecordType, Says)]) -> Server {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let table: HashMap<(String, RecordType), Says> = table
        .iter()
        .map(|(name, kind, says)| (((*name).to_owned(), *kind), says.clone()))
        .collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            if let Some(answer) = answer(&table, &buffer[..length]) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    let metrics = Metrics::new();
    Server {
        dns: Dns::with_servers(&[address], metrics.clone()).unwrap(),
        asked,
        metrics,
    }
}

fn answer(table: &HashMap<(String, RecordType), Says>, question: &[u8]) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let asked = query.name.to_ascii().to_ascii_lowercase();
    let says = table
        .get(&(asked.clone(), query.query_type))
        .cloned()
        .unwrap_or_else(|| {
            let exists = table.keys().any(|(name, _)| *name == asked);
            if exists {
                Says::Records(Vec::new())
            } else {
                Says::Code(ResponseCode::NXDomain)
            }
        });
    let mut message = Message::response(question.metadata.id, question.metadata.op_code);
    message.add_query(query.clone());
    match says {
        Says::Nothing => return None,
        Says::Code(code) => message.metadata.response_code = code,
        Says::Records(records) => {
            message.add_answers(
                records
                    .into_iter()
                    .map(|data| Record::from_rdata(query.name.clone(), 300, data)),
            );
        }
    }
    Some(message.to_vec().unwrap())
}

fn names(fact: &Fact<Vec<Box<str>>>) -> Vec<&str> {
    match fact {
        Fact::Known(names) => names.iter().map(AsRef::as_ref).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn only_names_that_lead_back_are_believed() {
    const SOURCE: &str = "9.113.0.203.in-addr.arpa.";
    let server = server(&[
        (
            SOURCE,
            RecordType::PTR,
            Says::Records(vec![
                ptr("Mail.Example.NET."),
                ptr("liar.google.com."),
                ptr("gone.example."),
            ]),
        ),
        (
            "mail.example.net.",
            RecordType::A,
            Says::Records(vec![a("198.51.100.1"), a("203.0.113.9")]),
        ),
        (
            "liar.google.com.",
            RecordType::A,
            Says::Records(vec![a("198.51.100.2")]),
        ),
        (
            "8.113.0.203.in-addr.arpa.",
            RecordType::PTR,
            Says::Code(ResponseCode::ServFail),
        ),
        (
            "6.113.0.203.in-addr.arpa.",
            RecordType::PTR,
            Says::Records(vec![ptr("broken.example.")]),
        ),
        (
            "broken.example.",
            RecordType::A,
            Says::Code(ResponseCode::ServFail),
        ),
        (
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.",
            RecordType::PTR,
            Says::Records(vec![ptr("six.example.")]),
        ),
        (
            "six.example.",
            RecordType::AAAA,
            Says::Records(vec![aaaa("2001:db8::1")]),
        ),
    ])
    .await;
    let of = async |ip: &str| server.dns.reverse_names(ip.parse().unwrap()).await;
    assert_eq!(names(&of("203.0.113.9").await), ["mail.example.net"]);
    assert_eq!(names(&of("::ffff:203.0.113.9").await), ["mail.example.net"]);
    assert_eq!(names(&of("2001:db8::1").await), ["six.example"]);
    assert_eq!(names(&of("203.0.113.7").await), Vec::<&str>::new());
    assert_eq!(of("203.0.113.8").await, Fact::Unavailable);
    assert_eq!(of("203.0.113.6").await, Fact::Unavailable);
}

#[tokio::test]
async fn answers_are_kept_and_counted() {
    let server = server(&[(
        "example.jp.",
        RecordType::MX,
        Says::Records(vec![mx(10, "mx.example.jp.")]),
    )])
    .await;
    for _ in 0..3 {
        assert_eq!(
            server.dns.domain_standing("example.jp").await,
            Fact::Known(DomainStanding::Resolves)
        );
    }
    assert_eq!(server.asked.load(Ordering::Relaxed), 1);
    let metrics = server.metrics.encode(0);
    assert!(
        metrics.contains("sekisho_dns_lookups_total{query=\"mx\",result=\"found\"} 3"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_domain_stands_as_its_records_say() {
    let server = server(&[
        (
            "mx.example.",
            RecordType::MX,
            Says::Records(vec![mx(10, "a.example.")]),
        ),
        (
            "null.example.",
            RecordType::MX,
            Says::Records(vec![mx(0, ".")]),
        ),
        (
            "odd.example.",
            RecordType::MX,
            Says::Records(vec![mx(0, "."), mx(10, "a.example.")]),
        ),
        (
            "four.example.",
            RecordType::A,
            Says::Records(vec![a("192.0.2.1")]),
        ),
        (
            "six.example.",
            RecordType::AAAA,
            Says::Records(vec![aaaa("2001:db8::1")]),
        ),
        ("empty.example.", RecordType::TXT, Says::Records(Vec::new())),
        (
            "failing.example.",
            RecordType::MX,
            Says::Code(ResponseCode::ServFail),
        ),
        (
            "refused.example.",
            RecordType::MX,
            Says::Code(ResponseCode::Refused),
        ),
        (
            "half.example.",
            RecordType::A,
            Says::Code(ResponseCode::ServFail),
        ),
    ])
    .await;
    let table = [
        ("mx.example", Fact::Known(DomainStanding::Resolves)),
        ("MX.Example", Fact::Known(DomainStanding::Resolves)),
        ("null.example", Fact::Known(DomainStanding::NullMx)),
        ("odd.example", Fact::Known(DomainStanding::Resolves)),
        ("four.example", Fact::Known(DomainStanding::Resolves)),
        ("six.example", Fact::Known(DomainStanding::Resolves)),
        ("empty.example", Fact::Known(DomainStanding::Missing)),
        ("missing.example", Fact::Known(DomainStanding::Missing)),
        ("failing.example", Fact::Unavailable),
        ("refused.example", Fact::Unavailable),
        ("half.example", Fact::Unavailable),
        ("[192.0.2.1]", Fact::Known(DomainStanding::Resolves)),
        ("not a name", Fact::Known(DomainStanding::Missing)),
    ];
    for (domain, standing) in table {
        assert_eq!(
            server.dns.domain_standing(domain).await,
            standing,
            "{domain}"
        );
    }
}

#[tokio::test]
async fn silence_is_no_answer_and_ends() {
    let server = server(&[
        ("silent.example.", RecordType::MX, Says::Nothing),
        ("1.2.0.192.in-addr.arpa.", RecordType::PTR, Says::Nothing),
    ])
    .await;
    let started = Instant::now();
    let (standing, names) = tokio::join!(
        server.dns.domain_standing("silent.example"),
        server.dns.reverse_names("192.0.2.1".parse().unwrap())
    );
    assert_eq!((standing, names), (Fact::Unavailable, Fact::Unavailable));
    assert!(started.elapsed() < DEADLINE + Duration::from_secs(1));
}

#[tokio::test]
async fn a_next_hop_may_be_an_address_or_a_name() {
    let server = server(&[
        (
            "relay.example.",
            RecordType::A,
            Says::Records(vec![a("192.0.2.1"), a("192.0.2.2")]),
        ),
        (
            "relay.example.",
            RecordType::AAAA,
            Says::Records(vec![aaaa("2001:db8::1")]),
        ),
        (
            "failing.example.",
            RecordType::A,
            Says::Code(ResponseCode::ServFail),
        ),
        (
            "failing.example.",
            RecordType::AAAA,
            Says::Code(ResponseCode::ServFail),
        ),
    ])
    .await;
    let mut found = server.dns.addresses("relay.example").await.unwrap();
    found.sort();
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
    );
    let asked = server.asked.load(Ordering::Relaxed);
    assert_eq!(
        server.dns.addresses("2001:db8::7").await.unwrap(),
        ["2001:db8::7".parse::<IpAddr>().unwrap()]
    );
    assert_eq!(server.asked.load(Ordering::Relaxed), asked);
    assert_eq!(
        server.dns.addresses("missing.example").await,
        Err(DnsFailure::Absent)
    );
    assert!(matches!(
        server.dns.addresses("failing.example").await,
        Err(DnsFailure::Failed(_) | DnsFailure::Timeout)
    ));
}
