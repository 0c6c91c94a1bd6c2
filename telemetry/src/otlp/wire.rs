//! Protobuf's wire format, as much of it as OTLP's traces need.
//!
//! A length stands before its message and is known only after it. The writer leaves as many bytes as the caller
//! guesses, and moves the message when the guess was wrong: a wrong guess costs a copy, never a wrong byte.

use bytes::Bytes;

/// A message below 128 bytes.
pub(super) const TINY: usize = 1;
/// A message from 128 bytes to 16 KiB: a span, a resource.
pub(super) const SHORT: usize = 2;
/// A message from 16 KiB to 2 MiB: many spans.
pub(super) const LONG: usize = 3;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;
const FIXED32: u32 = 5;

pub(super) struct Writer {
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            buffer: Vec::with_capacity(bytes),
        }
    }

    pub(super) fn finish(mut self) -> Bytes {
        // The bytes may wait in a backlog whose bound counts their length: unused room would be memory beyond it.
        if self.buffer.capacity() - self.buffer.len() > self.buffer.len() / 4 {
            self.buffer.shrink_to_fit();
        }
        Bytes::from(self.buffer)
    }

    #[inline]
    pub(super) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.buffer.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.push(value as u8);
    }

    #[inline]
    pub(super) fn tag(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    /// Bytes that are encoded already.
    #[inline]
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// A length-delimited field, written even when it is empty.
    #[inline]
    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, LENGTH_DELIMITED);
        self.varint(value.len() as u64);
        self.buffer.extend_from_slice(value);
    }

    /// A text; left out when it is empty.
    #[inline]
    pub(super) fn text(&mut self, field: u32, value: &str) {
        if !value.is_empty() {
            self.bytes(field, value.as_bytes());
        }
    }

    /// A number, written even when it is zero.
    #[inline]
    pub(super) fn number(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }

    /// A number; left out when it is zero.
    #[inline]
    pub(super) fn count(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.number(field, value);
        }
    }

    /// 8 bytes, written even when they are zero.
    #[inline]
    pub(super) fn double(&mut self, field: u32, value: f64) {
        self.tag(field, FIXED64);
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }

    /// 8 bytes; left out when they are zero.
    #[inline]
    pub(super) fn fixed64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.tag(field, FIXED64);
            self.buffer.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// 4 bytes; left out when they are zero.
    #[inline]
    pub(super) fn fixed32(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.tag(field, FIXED32);
            self.buffer.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// Opens a message of `length` bytes, which the caller writes next.
    #[inline]
    pub(super) fn message_of(&mut self, field: u32, length: usize) {
        self.tag(field, LENGTH_DELIMITED);
        self.varint(length as u64);
    }

    /// A message of unknown length, whose length is guessed to take `width` bytes.
    #[inline]
    pub(super) fn message(&mut self, field: u32, width: usize, body: impl FnOnce(&mut Self)) {
        self.tag(field, LENGTH_DELIMITED);
        let at = self.buffer.len();
        self.buffer.resize(at + width, 0);
        body(self);
        let length = self.buffer.len() - at - width;
        let needed = varint_len(length as u64);
        if needed != width {
            self.move_body(at, width, needed);
        }
        let mut rest = length;
        for byte in &mut self.buffer[at..at + needed] {
            *byte = rest as u8 | 0x80;
            rest >>= 7;
        }
        self.buffer[at + needed - 1] &= 0x7f;
    }

    #[cold]
    fn move_body(&mut self, at: usize, from: usize, to: usize) {
        let end = self.buffer.len();
        if to > from {
            self.buffer.resize(end + to - from, 0);
        }
        self.buffer.copy_within(at + from..end, at + to);
        self.buffer.truncate(end - from + to);
    }
}

/// The tag of a length-delimited field whose number is below 16.
#[inline]
pub(super) const fn delimited_tag(field: u32) -> u8 {
    debug_assert!(field < 16);
    (field << 3 | LENGTH_DELIMITED) as u8
}

/// How many bytes a number takes.
#[inline]
pub(super) const fn varint_len(value: u64) -> usize {
    (value | 1).ilog2() as usize / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer)) -> Bytes {
        let mut writer = Writer::with_capacity(0);
        write(&mut writer);
        writer.finish()
    }

    #[test]
    fn a_length_takes_what_prost_gives_it() {
        for value in [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            2_097_151,
            2_097_152,
            u64::MAX,
        ] {
            assert_eq!(
                varint_len(value),
                prost::encoding::encoded_len_varint(value)
            );
        }
    }

    #[test]
    fn a_wrong_guess_costs_no_byte() {
        for length in [0, 1, 127, 128, 129, 16_383, 16_384, 70_000] {
            let body = vec![7; length];
            let exact = written(|writer| writer.bytes(1, &body));
            for width in [TINY, SHORT, LONG] {
                let guessed = written(|writer| {
                    writer.message(1, width, |writer| writer.buffer.extend_from_slice(&body));
                });
                assert_eq!(guessed, exact, "length {length}, guess {width}");
            }
        }
    }
}
