//! A DNS server on loopback that knows what the script says, and of nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, MX, PTR};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// What is said of names, in lower case with a final dot.
type Table = Arc<Mutex<BTreeMap<String, Vec<Says>>>>;

#[derive(Clone, Debug)]
enum Says {
    Record(RData),
    /// The server itself fails.
    Failure,
}

/// The names of one dialogue.
#[derive(Debug, Default)]
pub(super) struct Names {
    table: Table,
    server: Option<(SocketAddr, JoinHandle<()>)>,
}

impl Drop for Names {
    fn drop(&mut self) {
        if let Some((_, server)) = &self.server {
            server.abort();
        }
    }
}

impl Names {
    /// `@dns NAME TYPE VALUE`, or `@dns NAME SERVFAIL`.
    pub(super) fn add(&mut self, name: &str, kind: &str, value: &str) -> Result<(), String> {
        let says = match kind {
            "MX" => Says::Record(RData::MX(MX::new(10, parse_name(value)?))),
            "PTR" => Says::Record(RData::PTR(PTR(parse_name(value)?))),
            "A" => Says::Record(RData::A(A(parse(value)?))),
            "AAAA" => Says::Record(RData::AAAA(AAAA(parse(value)?))),
            "SERVFAIL" => Says::Failure,
            other => return Err(format!("{other:?} is none of MX, PTR, A, AAAA, SERVFAIL")),
        };
        let name = parse_name(name)?.to_ascii().to_ascii_lowercase();
        let mut table = self.table.lock().unwrap();
        table.entry(name).or_default().push(says);
        Ok(())
    }

    /// Where it is asked; it is started by the first who wants to know.
    pub(super) async fn address(&mut self) -> Result<SocketAddr, String> {
        if let Some((address, _)) = &self.server {
            return Ok(*address);
        }
        let fault = |error: std::io::Error| error.to_string();
        let socket = UdpSocket::bind("127.0.0.1:0").await.map_err(fault)?;
        let address = socket.local_addr().map_err(fault)?;
        let table = self.table.clone();
        self.server = Some((address, tokio::spawn(serve(socket, table))));
        Ok(address)
    }
}

async fn serve(socket: UdpSocket, table: Table) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let answer = answer(&table.lock().unwrap(), &buffer[..length]);
        let _ = socket.send_to(&answer, from).await;
    }
}

fn answer(table: &BTreeMap<String, Vec<Says>>, question: &[u8]) -> Vec<u8> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let mut message = Message::response(question.metadata.id, question.metadata.op_code);
    message.add_query(query.clone());
    match table.get(&query.name.to_ascii().to_ascii_lowercase()) {
        None => message.metadata.response_code = ResponseCode::NXDomain,
        Some(said) => {
            for says in said {
                match says {
                    Says::Failure => message.metadata.response_code = ResponseCode::ServFail,
                    Says::Record(data) if kind(data) == query.query_type => {
                        message.add_answers([Record::from_rdata(
                            query.name.clone(),
                            300,
                            data.clone(),
                        )]);
                    }
                    Says::Record(_) => {}
                }
            }
        }
    }
    message.to_vec().unwrap()
}

fn kind(data: &RData) -> RecordType {
    data.record_type()
}

fn parse_name(text: &str) -> Result<Name, String> {
    let mut name = Name::from_str(text).map_err(|error| format!("{text:?}: {error}"))?;
    name.set_fqdn(true);
    Ok(name)
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no address"))
}
