//! An object of a question that anybody may have sent: its label is looked at first and its size then, before it is taken apart.
//!
//! A tree of JSON takes many times its text: a value a few tens of octets, a mapping some hundreds.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// No pod has more values. One of a hundred containers with fifty variables each has about half as many.
pub(super) const MOST_VALUES: usize = 32 * 1024;

/// What of an object says whether it asks for a sidecar. The rest is skipped and takes no memory.
#[derive(Default, Deserialize)]
pub(super) struct Labelled {
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: Option<Labels>,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(rename = "sekisho.dev/gateway", default)]
    gateway: Option<String>,
}

impl Labelled {
    /// The gateway whose sidecar it asks for.
    pub(super) fn gateway(self) -> Option<String> {
        self.metadata?.labels?.gateway
    }
}

/// How many values an object has, counted without holding them.
#[derive(Clone, Copy, Default)]
pub(super) struct Size(pub(super) usize);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Counter)
    }
}

struct Counter;

const ONE: Size = Size(1);

impl<'de> Visitor<'de> for Counter {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Size, E> {
        Ok(ONE)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Size, E> {
        Ok(ONE)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Size, E> {
        Ok(ONE)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Size, E> {
        Ok(ONE)
    }

    fn visit_str<E>(self, _: &str) -> Result<Size, E> {
        Ok(ONE)
    }

    fn visit_unit<E>(self) -> Result<Size, E> {
        Ok(ONE)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Size, A::Error> {
        let mut sum = ONE;
        while let Some(Size(more)) = items.next_element()? {
            sum.0 += more;
        }
        Ok(sum)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Size, A::Error> {
        let mut sum = ONE;
        while let Some((IgnoredAny, Size(more))) = members.next_entry()? {
            sum.0 += more;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::GATEWAY;

    #[test]
    fn the_label_is_found_among_anything() {
        let pod = format!(
            r#"{{"x":[{{}}],"metadata":{{"a":1,"labels":{{"b":"c","{GATEWAY}":"outbound"}}}}}}"#
        );
        let gateway = |text: &str| serde_json::from_str::<Labelled>(text).map(Labelled::gateway);
        assert_eq!(gateway(&pod).unwrap().as_deref(), Some("outbound"));
        for none in [
            "{}",
            r#"{"metadata":null}"#,
            r#"{"metadata":{"labels":null}}"#,
        ] {
            assert_eq!(gateway(none).unwrap(), None, "{none}");
        }
        // One of two would be the one that counts for somebody else.
        assert!(gateway(r#"{"metadata":{},"metadata":{}}"#).is_err());
    }

    #[test]
    fn values_are_counted() {
        for (text, count) in [
            ("null", 1),
            ("[]", 1),
            (r#"{"a":1,"b":[true,-1,1e3,"x"]}"#, 7),
            ("[[[]],{}]", 4),
        ] {
            assert_eq!(
                serde_json::from_str::<Size>(text).unwrap().0,
                count,
                "{text}"
            );
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(serde_json::from_str::<Size>(&deep).is_err());
    }
}
