//! Who somebody is: accounts files and the upstream MTA, asked in order.
//!
//! ```text
//! AccountsFile::open(path, default_domain: Option<&str>) -> Result<AccountsFile, AccountsError>   // error: path:line: what
//! AccountsFile::refresh(&self) -> Result<Refresh, AccountsError>   // Refresh::{Unchanged, Reloaded}; keeps the last good one
//! accounts_file::add(path, &Account, &Secret) -> Result<(), AccountsError>     // for `sekisho accounts add`
//!
//! HashPool::new(Metrics) -> HashPool                   // one per process: bounded, one place per core
//! Backends::load(&Authentication, HashPool, previous: Option<&Backends>) -> Result<Backends, AccountsError>
//! Backends::refresh(&self) -> Vec<Result<Refresh, AccountsError>>  // call about once a second, off the session path
//! async Backends::check(&self, &Credentials, &Caller, &NextHops, Instant) -> Verdict
//! enum Verdict { Accepted(Account), Refused, Unavailable(Failure) }
//!   // The connection of a relayed AUTH stays in the Caller and serves its later transactions.
//! Failure::reply(&self) -> Reply                       // 454 4.7.0
//!
//! FleetKey::new([u8; 32]); FleetKey::read_or_create(&Path) -> io::Result<FleetKey>
//! FleetKey::fingerprint(&self, &Account, password: &[u8]) -> Item    // of this password of this account
//! FleetKey::pseudonym(&self, text: &str) -> Item                     // of anything else, e.g. a recipient's local part
//! ```
