//! Writes small databases in MaxMind's format, so that a test can say where an address is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ipnet::IpNet;

const SEPARATOR: [u8; 16] = [0; 16];
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// A value of a record.
#[derive(Clone, Debug)]
pub enum Value {
    Text(String),
    Number(u32),
    Map(Vec<(String, Value)>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

/// A map with these entries.
pub fn map<V: Into<Value>>(entries: impl IntoIterator<Item = (&'static str, V)>) -> Value {
    Value::Map(
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect(),
    )
}

/// A database of countries as ip-location-db writes them: `country_code` by network.
pub fn countries(path: &Path, networks: &[(&str, &str)]) {
    let records: Vec<_> = networks
        .iter()
        .map(|(net, code)| (*net, map([("country_code", *code)])))
        .collect();
    write(path, 1_780_000_000, &records);
}

/// Writes a database of both address families that was "built" at `built` (seconds since 1970). Networks may not
/// contain each other.
///
/// # Panics
/// A network cannot be parsed, or the file cannot be written.
pub fn write(path: &Path, built: u64, records: &[(&str, Value)]) {
    fs::write(path, bytes(built, records)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// What [`write`] writes.
///
/// # Panics
/// A network cannot be parsed.
pub fn bytes(built: u64, records: &[(&str, Value)]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut tree = Tree::default();
    for (network, record) in records {
        let network: IpNet = network.parse().unwrap_or_else(|e| panic!("{network}: {e}"));
        tree.insert(network, data.len());
        encode(record, &mut data);
    }
    let mut file = tree.encode();
    file.extend(SEPARATOR);
    file.extend(data);
    file.extend(MARKER);
    metadata(tree.nodes.len(), built, &mut file);
    file
}

#[derive(Clone, Copy, Debug, Default)]
enum Child {
    #[default]
    Nothing,
    Node(usize),
    /// Offset into the data.
    Data(usize),
}

#[derive(Debug)]
struct Tree {
    nodes: Vec<[Child; 2]>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: vec![[Child::Nothing; 2]],
        }
    }
}

impl Tree {
    fn insert(&mut self, network: IpNet, offset: usize) {
        // IPv4 lives in ::/96.
        let (address, bits) = match network {
            IpNet::V4(v4) => (
                u128::from(u32::from(v4.network())),
                usize::from(v4.prefix_len()) + 96,
            ),
            IpNet::V6(v6) => (u128::from(v6.network()), usize::from(v6.prefix_len())),
        };
        let mut node = 0;
        for depth in 0..bits {
            let bit = usize::from(address >> (127 - depth) & 1 == 1);
            if depth + 1 == bits {
                self.nodes[node][bit] = Child::Data(offset);
                return;
            }
            node = match self.nodes[node][bit] {
                Child::Node(next) => next,
                Child::Nothing => {
                    let next = self.nodes.len();
                    self.nodes.push([Child::Nothing; 2]);
                    self.nodes[node][bit] = Child::Node(next);
                    next
                }
                Child::Data(_) => panic!("{network} lies within another network"),
            };
        }
    }

    /// Records of 32 bits.
    fn encode(&self) -> Vec<u8> {
        let count = self.nodes.len();
        let value = |child: Child| match child {
            Child::Nothing => count,
            Child::Node(node) => node,
            Child::Data(offset) => count + SEPARATOR.len() + offset,
        };
        let flat = self.nodes.iter().flatten();
        flat.flat_map(|child| u32::try_from(value(*child)).unwrap().to_be_bytes())
            .collect()
    }
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => {
            control(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        Value::Number(number) => {
            control(6, 4, out);
            out.extend(number.to_be_bytes());
        }
        Value::Map(entries) => {
            control(7, entries.len(), out);
            for (key, value) in entries {
                encode(&Value::Text(key.clone()), out);
                encode(value, out);
            }
        }
    }
}

/// The byte that says type and size; longer texts than this writes would need more bytes.
fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    assert!(size < 29, "{size} is more than this small writer knows");
    out.push(kind << 5 | u8::try_from(size).unwrap());
}

fn metadata(nodes: usize, built: u64, out: &mut Vec<u8>) {
    let numbers: BTreeMap<&str, u32> = BTreeMap::from([
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
        ("ip_version", 6),
        ("node_count", u32::try_from(nodes).unwrap()),
        ("record_size", 32),
    ]);
    control(7, numbers.len() + 4, out);
    for (key, number) in numbers {
        encode(&Value::Text(key.to_owned()), out);
        if key == "node_count" {
            encode(&Value::Number(number), out);
        } else {
            control(5, 2, out);
            out.extend(&number.to_be_bytes()[2..]);
        }
    }
    encode(&"build_epoch".into(), out);
    // An extended type: 64 bits are number 9, written as 9 - 7 after the control byte.
    out.extend([8, 2]);
    out.extend(built.to_be_bytes());
    encode(&"database_type".into(), out);
    encode(&"Sekisho-Test".into(), out);
    encode(&"languages".into(), out);
    // An empty array, extended type 11.
    out.extend([0, 4]);
    encode(&"description".into(), out);
    encode(&map([("en", "made by a test")]), out);
}
