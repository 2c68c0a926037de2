//! What proxies and replicas post to the control plane: reading it never panics, and what is read is bounded and reads again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_api::fleet::{Push, read_records};
use sekisho_policy::Report;

fuzz_target!(|data: &[u8]| {
    if let Ok(report) = Report::read(data) {
        let again = serde_json::to_vec(&report).unwrap();
        assert_eq!(Report::read(&again).ok(), Some(report).filter(|_| again.len() <= 32 * 1024));
    }
    if let Ok(push) = Push::read(data) {
        let again = serde_json::to_vec(&push).unwrap();
        assert_eq!(Push::read(&again).unwrap(), push);
    }
    if let Ok(unpacked) = read_records(data, "mail/outbound") {
        assert!(unpacked.octets <= 8 << 20 && unpacked.records.len() <= 4096);
    }
});
