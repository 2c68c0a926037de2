//! Where in a record a database keeps the country and the autonomous system: publishers differ.

use maxminddb::PathElement::{self, Key};
use maxminddb::{LookupResult, Reader, WithinOptions};

use crate::metrics::CountryData;

/// How many networks are looked at to learn the layout. Databases may begin with networks of no country.
const SAMPLE: usize = 2000;

type Path = [PathElement<'static>];

/// MaxMind and DB-IP; ip-location-db and IPinfo Lite; IPinfo's older files.
const COUNTRY: [&Path; 3] = [
    &[Key("country"), Key("iso_code")],
    &[Key("country_code")],
    &[Key("country")],
];
/// MaxMind, DB-IP and ip-location-db; IPinfo ("AS2497").
const ASN: [&Path; 2] = [&[Key("autonomous_system_number")], &[Key("asn")]];

/// The paths that one database uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    country: Option<&'static Path>,
    asn: Option<&'static Path>,
}

impl Layout {
    /// Looks at the first networks; `None` if they tell neither a country nor an autonomous system.
    pub(super) fn detect<S: AsRef<[u8]>>(reader: &Reader<S>) -> Option<Self> {
        let mut layout = Self {
            country: None,
            asn: None,
        };
        let networks = reader.networks(WithinOptions::default()).ok()?;
        for record in networks.take(SAMPLE).flatten() {
            layout.country = layout.country.or_else(|| {
                COUNTRY
                    .into_iter()
                    .find(|path| country_at(&record, path).is_some())
            });
            layout.asn = layout
                .asn
                .or_else(|| ASN.into_iter().find(|path| asn_at(&record, path).is_some()));
            if layout.country.is_some() && layout.asn.is_some() {
                break;
            }
        }
        (layout.country.is_some() || layout.asn.is_some()).then_some(layout)
    }

    pub(super) fn tells(self, data: CountryData) -> bool {
        match data {
            CountryData::Country => self.country.is_some(),
            CountryData::Asn => self.asn.is_some(),
        }
    }

    pub(super) fn country<S: AsRef<[u8]>>(self, record: &LookupResult<'_, S>) -> Option<[u8; 2]> {
        country_at(record, self.country?)
    }

    pub(super) fn asn<S: AsRef<[u8]>>(self, record: &LookupResult<'_, S>) -> Option<u32> {
        asn_at(record, self.asn?)
    }
}

fn country_at<S: AsRef<[u8]>>(record: &LookupResult<'_, S>, path: &Path) -> Option<[u8; 2]> {
    country_code(record.decode_path::<&str>(path).ok()??)
}

fn asn_at<S: AsRef<[u8]>>(record: &LookupResult<'_, S>, path: &Path) -> Option<u32> {
    let number = match record.decode_path::<u32>(path) {
        Ok(number) => number?,
        Err(_) => record
            .decode_path::<&str>(path)
            .ok()??
            .strip_prefix("AS")?
            .parse()
            .ok()?,
    };
    // AS 0 is reserved (RFC 7607): databases use it for "none".
    (number != 0).then_some(number)
}

/// Two upper-case letters; the codes that ISO 3166 leaves to users for "unknown" are no country.
fn country_code(code: &str) -> Option<[u8; 2]> {
    let code: [u8; 2] = code.as_bytes().try_into().ok()?;
    let known = code.iter().all(u8::is_ascii_uppercase) && code != *b"ZZ" && code != *b"XX";
    known.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::country_code;

    #[test]
    fn only_codes_that_name_a_country_count() {
        let table = [
            ("JP", Some(*b"JP")),
            ("XK", Some(*b"XK")),
            ("jp", None),
            ("JPN", None),
            ("", None),
            ("-", None),
            ("ZZ", None),
            ("é", None),
        ];
        for (code, expected) in table {
            assert_eq!(country_code(code), expected, "{code:?}");
        }
    }
}
