//! Numbers in as few bytes as they need.

use loom_proto::wire::put_varint;

/// A number that may be negative, near zero as a rule.
pub(super) fn put_signed(to: &mut Vec<u8>, value: i64) {
    put_varint(to, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Takes numbers off the front of some bytes. `None` where they end before the number does.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    #[inline]
    pub(super) fn signed(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(super) fn double(&mut self) -> Option<f64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(signed in prop::num::i64::ANY, number in prop::num::u64::ANY) {
            let mut bytes = Vec::new();
            put_signed(&mut bytes, signed);
            put_varint(&mut bytes, number);
            let mut reader = Reader(&bytes);
            prop_assert_eq!(reader.signed(), Some(signed));
            prop_assert_eq!(reader.varint(), Some(number));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let mut reader = Reader(&bytes);
            while reader.varint().is_some() {}
        }
    }
}
