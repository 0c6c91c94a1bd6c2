//! The header of a record. Little-endian:
//!
//! | bytes | field |
//! | --- | --- |
//! | 4 | length of the payload |
//! | 4 | spans in the payload that will be stored |
//! | 8 | time of acceptance, ms since the Unix epoch |
//! | 4 | CRC-32C of the payload |
//! | 4 | CRC-32C of the 20 bytes before |
//!
//! The header has a checksum of its own, so that a flipped bit in a payload costs one record and not all behind it.

/// Length of an encoded header in bytes.
pub const HEADER_LEN: usize = 24;

/// What precedes a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the payload.
    pub len: u32,
    /// Spans in the payload that will be stored.
    pub spans: u32,
    /// Time of acceptance, ms since the Unix epoch.
    pub received_ms: u64,
    /// CRC-32C of the payload.
    pub payload_crc: u32,
}

impl Header {
    /// The bytes of this header.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&self.len.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.spans.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.received_ms.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..20]);
        bytes[20..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header of these bytes; `None` when the checksum says that they are none.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let u32_at = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if crc32c::crc32c(&bytes[..20]) != u32_at(20) {
            return None;
        }
        Some(Self {
            len: u32_at(0),
            spans: u32_at(4),
            received_ms: u64::from(u32_at(8)) | u64::from(u32_at(12)) << 32,
            payload_crc: u32_at(16),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_header_comes_back(len: u32, spans: u32, received_ms: u64, payload_crc: u32) {
            let header = Header { len, spans, received_ms, payload_crc };
            prop_assert_eq!(Header::decode(&header.encode()), Some(header));
        }

        #[test]
        fn any_flipped_bit_is_seen(len: u32, spans: u32, bit in 0..HEADER_LEN * 8) {
            let header = Header { len, spans, received_ms: 1, payload_crc: 2 };
            let mut bytes = header.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Header::decode(&bytes), None);
        }
    }

    #[test]
    fn zeros_are_no_header() {
        assert_eq!(Header::decode(&[0; HEADER_LEN]), None);
    }
}
