//! One message of a request as it is walked, and the rules that hold in every message.

use loom_proto::wire::{Field, Fields, Value};

use crate::otlp::wire::{Fault, MAX_DEPTH, WireError};

/// The rest of a message that is being walked.
#[derive(Debug, Clone)]
pub(super) struct Message<'a> {
    fields: Fields<'a>,
    /// Byte of the request at which it ends.
    end: usize,
    /// Messages that may still be nested in it.
    depth: u32,
}

impl<'a> Message<'a> {
    /// The outermost one.
    pub(super) fn request(bytes: &'a [u8]) -> Self {
        Self {
            fields: Fields::with_groups(bytes, MAX_DEPTH),
            end: bytes.len(),
            depth: MAX_DEPTH,
        }
    }

    /// The next field: its number, and what it holds.
    #[expect(
        clippy::inline_always,
        reason = "for the same reason as Fields::try_next"
    )]
    #[inline(always)]
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, WireError> {
        match self.fields.try_next() {
            Ok(Some(Field { number, value })) => Ok(Some((number, value))),
            Ok(None) => Ok(None),
            Err(error) => Err(self.fault(error)),
        }
    }

    /// The message that the field holds which was read just now.
    #[inline]
    pub(super) fn inner(&self, bytes: &'a [u8]) -> Result<Self, WireError> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(self.fault(Fault::Depth));
        };
        Ok(Self {
            fields: Fields::with_groups(bytes, depth),
            end: self.end - self.fields.rest().len(),
            depth,
        })
    }

    /// The next message in a field of this number; all other fields are skipped.
    pub(super) fn next_inner(&mut self, wanted: u32) -> Result<Option<Self>, WireError> {
        while let Some((number, value)) = self.next()? {
            match value {
                Value::Bytes(bytes) if number == wanted => return self.inner(bytes).map(Some),
                _ if number == wanted => return Err(self.fault(Fault::WireType)),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The text that the field holds which was read just now.
    #[inline]
    pub(super) fn text(&self, bytes: &'a [u8]) -> Result<&'a str, WireError> {
        str::from_utf8(bytes).map_err(|_| self.fault(Fault::Utf8))
    }

    /// Passes over the field that was read just now, if it is none of the `known` ones: newer senders have more.
    #[cold]
    pub(super) fn skip(&self, number: u32, known: &[u32]) -> Result<(), WireError> {
        if known.contains(&number) {
            return Err(self.fault(Fault::WireType));
        }
        if self.depth == 0 {
            return Err(self.fault(Fault::Depth));
        }
        Ok(())
    }

    /// Makes room for the element of field `number` that was read just now and for those that follow it at once, which are all
    /// where the sender is no oddity.
    #[inline]
    pub(super) fn reserve<T>(&self, list: &mut Vec<T>, number: u32) {
        if list.len() == list.capacity() {
            let mut following = self.fields.clone();
            let mut elements = 1;
            while let Ok(Some(field)) = following.try_next()
                && field.number == number
            {
                elements += 1;
            }
            list.reserve(elements);
        }
    }

    #[cold]
    fn fault(&self, fault: impl Into<Fault>) -> WireError {
        WireError::at(&self.fields, self.end, fault)
    }
}

/// A number of 32 bits with a sign. As protobuf has it, what is too wide is cut.
pub(super) fn int32(number: u64) -> i64 {
    i64::from(number as i32)
}

/// A number of 32 bits, cut in the same way.
pub(super) fn uint32(number: u64) -> u32 {
    number as u32
}
