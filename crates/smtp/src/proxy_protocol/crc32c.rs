//! CRC-32C (Castagnoli), which version 2 headers may carry (RFC 4960 appendix B).

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                value >> 1 ^ 0x82F6_3B78
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

/// The checksum of some octets one after another.
pub(super) fn checksum(octets: impl Iterator<Item = u8>) -> u32 {
    !octets.fold(!0, |crc, octet| {
        crc >> 8 ^ TABLE[usize::from(crc as u8 ^ octet)]
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn matches_the_published_check_values() {
        // The check value of the Rocksoft model, and RFC 3720 B.4.
        assert_eq!(super::checksum(b"123456789".iter().copied()), 0xE306_9283);
        assert_eq!(super::checksum([0; 32].into_iter()), 0x8A91_36AA);
        assert_eq!(super::checksum([0xFF; 32].into_iter()), 0x62A8_AB43);
    }
}
