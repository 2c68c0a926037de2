//! Country and ASN lookup over databases of each publisher's shape, real and spoilt ones, and replacing them.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sekisho_runtime::country::{CountryLookup, Place, Refreshed, follow};
use sekisho_runtime::health::State;
use sekisho_runtime::metrics::CountryData;
use sekisho_runtime::{Health, Metrics, Shutdown};
use sekisho_testkit::mmdb::{self, Value, map};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn country(code: &[u8; 2]) -> Place {
    Place {
        country: Some(*code),
        asn: None,
    }
}

/// A database in a folder of its own, which is the scratch folder too.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, names: &[&str]) -> Result<CountryLookup, String> {
        let paths: Vec<_> = names.iter().map(|name| self.path(name)).collect();
        CountryLookup::open(&paths, self.0.path()).map_err(|error| error.to_string())
    }

    fn countries(&self, name: &str, networks: &[(&str, &str)]) {
        mmdb::countries(&self.path(name), networks);
    }
}

#[test]
fn each_publisher_has_its_own_layout() {
    let iso = |code: &str| map([("country", map([("iso_code", code)]))]);
    let asn = |number: u32| map([("autonomous_system_number", number)]);
    let table: [(Value, Place); 5] = [
        (iso("JP"), country(b"JP")),
        (map([("country_code", "JP")]), country(b"JP")),
        (map([("country", "JP")]), country(b"JP")),
        (
            asn(2497),
            Place {
                country: None,
                asn: Some(2497),
            },
        ),
        (
            map([
                ("country_code", Value::from("JP")),
                ("asn", Value::from("AS2497")),
            ]),
            Place {
                country: Some(*b"JP"),
                asn: Some(2497),
            },
        ),
    ];
    for (record, expected) in table {
        let folder = Folder::new();
        mmdb::write(
            &folder.path("db"),
            1_780_000_000,
            &[("192.0.2.0/24", record.clone())],
        );
        let lookup = folder.open(&["db"]).unwrap();
        let found = lookup.lookup(ip("192.0.2.7"));
        assert_eq!(found.asn, expected.asn, "{record:?}");
        assert_eq!(found.country, expected.country, "{record:?}");
    }
}

#[test]
fn addresses_are_looked_up_as_what_they_are() {
    let folder = Folder::new();
    folder.countries(
        "db",
        &[
            ("192.0.2.0/24", "JP"),
            ("2001:db8::/32", "NL"),
            ("10.0.0.0/8", "SE"),
            ("198.51.100.0/24", "ZZ"),
        ],
    );
    let lookup = folder.open(&["db"]).unwrap();
    let table = [
        ("192.0.2.1", Some(b"JP")),
        ("::ffff:192.0.2.1", Some(b"JP")),
        ("192.0.3.1", None),
        ("2001:db8::1", Some(b"NL")),
        ("2001:db9::1", None),
        ("10.1.2.3", Some(b"SE")),
        ("198.51.100.1", None),
        ("8.8.8.8", None),
    ];
    for (address, expected) in table {
        assert_eq!(
            lookup.lookup(ip(address)).country,
            expected.copied(),
            "{address}"
        );
    }
    assert_eq!(
        lookup.built_ms(CountryData::Country),
        Some(1_780_000_000_000)
    );
    assert_eq!(lookup.built_ms(CountryData::Asn), None);
}

#[test]
fn two_databases_complete_each_other_and_the_embedded_table_fills_in() {
    let folder = Folder::new();
    folder.countries("country", &[("192.0.2.0/24", "JP")]);
    mmdb::write(
        &folder.path("asn"),
        7,
        &[("8.8.8.0/24", map([("autonomous_system_number", 15169_u32)]))],
    );
    let both = folder.open(&["country", "asn"]).unwrap();
    assert_eq!(both.lookup(ip("192.0.2.1")), country(b"JP"));
    assert_eq!(
        both.lookup(ip("8.8.8.8")),
        Place {
            country: None,
            asn: Some(15169)
        }
    );
    let asn_only = folder.open(&["asn"]).unwrap();
    assert_eq!(
        asn_only.lookup(ip("8.8.8.8")),
        Place {
            country: Some(*b"US"),
            asn: Some(15169)
        }
    );
    assert_eq!(asn_only.built_ms(CountryData::Country), None);
    assert_eq!(
        CountryLookup::embedded().lookup(ip("8.8.8.8")),
        country(b"US")
    );
}

#[test]
fn a_spoilt_database_is_named_with_its_path() {
    let folder = Folder::new();
    let good = mmdb::bytes(1, &[("192.0.2.0/24", map([("country_code", "JP")]))]);
    let other = mmdb::bytes(1, &[("192.0.2.0/24", map([("city", "Tokyo")]))]);
    // A pointer into nowhere, in the last node of the tree.
    let mut crooked = good.clone();
    let last_node = good.windows(16).position(|w| w == [0; 16]).unwrap() - 8;
    crooked[last_node..last_node + 4].copy_from_slice(&0x00ff_ffff_u32.to_be_bytes());
    let table: [(&str, &[u8], &str); 5] = [
        ("empty", b"", "not a MaxMind-format database"),
        (
            "text",
            b"203.0.113.0/24,JP\n",
            "not a MaxMind-format database",
        ),
        (
            "cut",
            &good[good.len() / 3..],
            "not a MaxMind-format database",
        ),
        ("crooked", &crooked, "not a MaxMind-format database"),
        (
            "other",
            &other,
            "neither countries nor autonomous systems (type \"Sekisho-Test\")",
        ),
    ];
    for (name, bytes, expected) in table {
        fs::write(folder.path(name), bytes).unwrap();
        let error = folder.open(&[name]).unwrap_err();
        assert!(
            error.starts_with(&folder.path(name).display().to_string()),
            "{error}"
        );
        assert!(error.contains(expected), "{name}: {error}");
    }
    assert!(
        folder
            .open(&["missing"])
            .unwrap_err()
            .contains("missing: cannot be read: No such file")
    );
    assert!(
        folder
            .open(&["."])
            .unwrap_err()
            .contains("not a regular file")
    );
}

#[test]
fn a_scratch_folder_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    folder.countries("db", &[("192.0.2.0/24", "JP")]);
    let error = CountryLookup::open(&[folder.path("db")], Path::new("/nowhere")).unwrap_err();
    assert!(
        error.to_string().starts_with("/nowhere: cannot be written"),
        "{error}"
    );
}

#[test]
fn a_file_that_changes_is_swapped_in_and_one_that_spoils_is_not() {
    let folder = Folder::new();
    folder.countries("db", &[("192.0.2.0/24", "JP")]);
    let lookup = folder.open(&["db"]).unwrap();
    let here = || lookup.lookup(ip("192.0.2.1")).country.map(|c| c.to_vec());
    assert_eq!(lookup.refresh().unwrap(), Refreshed::Unchanged);

    folder.countries("next", &[("192.0.2.0/24", "NL")]);
    fs::rename(folder.path("next"), folder.path("db")).unwrap();
    assert_eq!(lookup.refresh().unwrap(), Refreshed::Swapped);
    assert_eq!(here(), Some(b"NL".to_vec()));

    // Truncated in place: mapped memory of the file itself would fault here.
    fs::write(folder.path("db"), b"").unwrap();
    assert_eq!(here(), Some(b"NL".to_vec()));
    assert!(lookup.refresh().is_err());
    assert_eq!(lookup.refresh().unwrap(), Refreshed::Unchanged, "said once");
    assert_eq!(here(), Some(b"NL".to_vec()));

    fs::remove_file(folder.path("db")).unwrap();
    assert!(lookup.refresh().is_err());
    folder.countries("db", &[("192.0.2.0/24", "SE")]);
    assert_eq!(lookup.refresh().unwrap(), Refreshed::Swapped);
    assert_eq!(here(), Some(b"SE".to_vec()));
}

#[tokio::test]
async fn followed_files_show_in_metrics_and_readiness() {
    let folder = Folder::new();
    folder.countries("db", &[("192.0.2.0/24", "JP")]);
    let lookup = folder.open(&["db"]).unwrap();
    let (metrics, health, shutdown) = (Metrics::new(), Health::default(), Shutdown::new());
    let component = health.component("country");
    let task = follow(
        lookup.clone(),
        Duration::from_millis(5),
        metrics.clone(),
        component,
        shutdown.clone(),
    );
    let task = tokio::spawn(task);

    fs::write(folder.path("db"), b"spoilt").unwrap();
    until(|| health.report().status == State::Degraded).await;
    let detail = health.report().components[0].detail.clone();
    assert!(
        detail.contains("db: it is not a MaxMind-format database"),
        "{detail}"
    );
    assert_eq!(lookup.lookup(ip("192.0.2.1")), country(b"JP"));

    folder.countries("next", &[("192.0.2.0/24", "NL")]);
    fs::rename(folder.path("next"), folder.path("db")).unwrap();
    until(|| health.report().status == State::Ok).await;
    assert_eq!(lookup.lookup(ip("192.0.2.1")), country(b"NL"));
    let text = metrics.encode(1_780_000_060_000);
    assert!(
        text.contains("sekisho_country_database_age_seconds{data=\"country\"} 60\n"),
        "{text}"
    );
    assert!(
        text.contains("sekisho_country_database_loads_total{result=\"failed\"} 1\n"),
        "{text}"
    );
    assert!(
        text.contains("sekisho_country_database_loads_total{result=\"loaded\"} 1\n"),
        "{text}"
    );
    shutdown.begin();
    task.await.unwrap();
}

async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(sekisho_testkit::PATIENCE, waiting)
        .await
        .expect("it happens in time");
}

/// The real database, and the embedded table beside it: they agree on most addresses that anybody uses.
#[test]
fn the_real_database_serves() {
    let Some(path) = sekisho_testkit::country_database() else {
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let lookup = CountryLookup::open(&[path], scratch.path()).unwrap();
    for (address, expected) in [
        ("202.232.2.1", b"JP"),
        ("2001:240::1", b"JP"),
        ("193.0.6.139", b"NL"),
        ("::ffff:202.232.2.1", b"JP"),
    ] {
        assert_eq!(
            lookup.lookup(ip(address)).country,
            Some(*expected),
            "{address}"
        );
    }
    for address in ["10.0.0.1", "127.0.0.1", "192.0.2.1", "::1", "fe80::1"] {
        assert_eq!(lookup.lookup(ip(address)), Place::default(), "{address}");
    }
    assert!(
        lookup
            .built_ms(CountryData::Country)
            .is_some_and(|built| built > 1_600_000_000_000)
    );

    let embedded = CountryLookup::embedded();
    let (mut known, mut same) = (0, 0);
    for block in (1_u32..224).filter(|block| *block != 10 && *block != 127) {
        for step in 0..64_u32 {
            let address = IpAddr::from(((block << 24) | (step << 18) | 0x0101).to_be_bytes());
            let (one, other) = (
                lookup.lookup(address).country,
                embedded.lookup(address).country,
            );
            if one.is_some() && other.is_some() {
                known += 1;
                same += u32::from(one == other);
            }
        }
    }
    assert!(known > 8000, "{known}");
    assert!(same * 10 > known * 8, "{same} of {known}");
}
