//! What is made of a server's answer, without a server: whoever can speak in its place must find nothing in its reading.

use redis::{Value, from_redis_value, parse_redis_value};
use sekisho_policy::{Op, Outcome, Results, Timestamp, Unavailable};

use super::answer::{self, Answer};
use super::call::{self, Asked, Call, Manner, Terms};
use super::failure::Failure;
use super::names::Names;
use super::setup::{Leases, NamingKey, Topology};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// Reads `octets`, as they come from a server, as its answer to `ops`. With leases each gate asks for credit as well.
///
/// # Errors
/// It is no answer to them.
#[doc(hidden)]
pub fn read_answer(ops: &[Op], leases: Leases, octets: &[u8]) -> Result<Results, Unavailable> {
    let terms = Terms {
        life: 10_000,
        want: 16,
        least: 4,
        who: 1,
    };
    let manner = |op: &Op| match op {
        Op::Gate { .. } if leases != Leases::Off => Manner::Lending(terms),
        _ => Manner::Plainly,
    };
    let manners: Vec<_> = ops.iter().map(manner).collect();
    let asked = Asked {
        ops,
        manners: &manners,
        first_birth: 1,
        now: NOW,
        said: None,
        returns: Vec::new(),
    };
    let names = Names::new(&NamingKey::new([0; 32]));
    let mut outcomes: Vec<Outcome> = ops.iter().map(answer::unknown).collect();
    for call in call::plan(&names, Topology::Single, asked) {
        let mut answer = read(&call, octets).map_err(|failure| failure.unavailable())?;
        answer.take_slices();
        for (at, outcome) in answer.outcomes(NOW) {
            outcomes[at] = outcome;
        }
    }
    Ok(Results(outcomes))
}

/// As the client library reads what comes, and we what it makes of that.
fn read(call: &Call, octets: &[u8]) -> Result<Answer, Failure> {
    let value = parse_redis_value(octets).and_then(Value::extract_error);
    let numbers = value.and_then(|value| Ok(from_redis_value(value)?));
    let numbers = numbers.map_err(|error| Failure::of(&error, call))?;
    Answer::read(call, numbers)
}

#[cfg(test)]
mod tests {
    use sekisho_policy::{Key, Millis};

    use super::*;
    use crate::redis::setup::Lending;

    fn gate() -> Op {
        Op::Gate {
            key: Key::new(b"k"),
            cost: 1,
            limit: 5,
            window: Millis::HOUR,
        }
    }

    #[test]
    fn an_answer_is_as_many_numbers_as_were_asked_for() {
        let ops = [
            gate(),
            Op::Locked {
                key: Key::new(b"k"),
            },
        ];
        let passed = |total| Outcome::Passed { total };
        for (octets, expected) in [
            (
                "*6\r\n:1\r\n:3\r\n:-2\r\n:7\r\n:9\r\n:-1\r\n",
                Some([passed(3), Outcome::Until(None)]),
            ),
            (
                "*6\r\n:0\r\n:5\r\n:60\r\n:0\r\n:0\r\n:90\r\n",
                Some([
                    Outcome::Full {
                        total: 5,
                        retry_at: Some(NOW.plus(Millis(60))),
                    },
                    Outcome::Until(Some(NOW.plus(Millis(90)))),
                ]),
            ),
            // One too few, one too many, a negative sum, an error, words, nothing, half of it.
            ("*5\r\n:1\r\n:3\r\n:-2\r\n:7\r\n:9\r\n", None),
            ("*7\r\n:1\r\n:3\r\n:-2\r\n:7\r\n:9\r\n:-1\r\n:1\r\n", None),
            ("*6\r\n:1\r\n:-3\r\n:-2\r\n:7\r\n:9\r\n:-1\r\n", None),
            ("-CORRUPT 0\r\n", None),
            ("*1\r\n-ERR no\r\n", None),
            ("+OK\r\n", None),
            ("$-1\r\n", None),
            ("*6\r\n:1\r\n", None),
            ("", None),
        ] {
            let read = read_answer(&ops, Leases::Off, octets.as_bytes());
            assert_eq!(
                read.ok().map(|results| results.0),
                expected.map(Vec::from),
                "{octets}"
            );
        }
        // A gate that asks for credit is told how much there is.
        let lent = "*6\r\n:1\r\n:3\r\n:-2\r\n:7\r\n:9\r\n:16\r\n";
        let lends = Leases::On(Lending::default());
        let read = read_answer(&[gate()], lends, lent.as_bytes());
        assert_eq!(read.ok().map(|results| results.0), Some(vec![passed(3)]));
    }
}
