//! A database of autonomous systems that knows what the script says.

use sekisho_testkit::mmdb::{self, map};
use tempfile::TempDir;

/// The file of one dialogue. It is read when the gateway starts.
#[derive(Debug, Default)]
pub(super) struct Asns {
    folder: Option<TempDir>,
    networks: Vec<(String, u32)>,
}

impl Asns {
    /// `@asn NETWORK NUMBER`; where the file is.
    pub(super) fn add(&mut self, network: &str, number: u32) -> Result<String, String> {
        let folder = match self.folder.take() {
            Some(folder) => folder,
            None => TempDir::new().map_err(|error| error.to_string())?,
        };
        let path = folder.path().join("asns.mmdb");
        self.folder = Some(folder);
        self.networks.push((network.to_owned(), number));
        let record = |(network, number): &(String, u32)| {
            let network = network.clone();
            (network, map([("autonomous_system_number", *number)]))
        };
        let records: Vec<_> = self.networks.iter().map(record).collect();
        let records: Vec<_> = records
            .iter()
            .map(|(network, record)| (network.as_str(), record.clone()))
            .collect();
        mmdb::write(&path, 1_780_000_000, &records);
        Ok(path.display().to_string())
    }
}
