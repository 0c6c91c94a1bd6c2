//! The protobuf wire format, read in place.
//!
//! Strict in exactly the points in which prost is, so that what passes here also decodes there.

/// Nested messages that prost follows before it gives up.
pub(super) const MAX_DEPTH: u32 = 100;

/// Why bytes are no OTLP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf at byte {offset}: {fault}")]
pub struct WireError {
    /// Byte of the request at which reading stopped.
    pub offset: usize,
    /// What was wrong there.
    pub fault: Fault,
}

/// What can be wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The field claims more bytes than there are.
    #[error("a field ends after the message that holds it")]
    Truncated,
    /// Longer than ten bytes or above 64 bits.
    #[error("a varint is too long")]
    Varint,
    /// Number 0, a number above 32 bits, or a wire type that does not exist.
    #[error("not a field key")]
    Key,
    /// A known field with the wire type of another one.
    #[error("the field has the wrong wire type")]
    WireType,
    /// A group ends that did not begin, or the other way round.
    #[error("a group does not match its end")]
    Group,
    /// Text that is not UTF-8.
    #[error("a string is not valid utf-8")]
    Utf8,
    /// Nested deeper than the limit.
    #[error("messages are nested too deep")]
    Depth,
}

/// Value of a field as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw<'a> {
    Varint,
    Fixed64,
    /// The bytes, and the offset in the request at which they begin.
    Bytes(&'a [u8], usize),
    Fixed32,
    /// A group begins; the reader stands after its start and [`Fields::skip_group`] goes behind its end.
    Group,
}

/// Walks over the fields of one message.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    /// Offset of `rest` in the request, for messages to humans.
    offset: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8], offset: usize) -> Self {
        Self {
            rest: message,
            offset,
        }
    }

    /// The next field's number and value; `None` at the end of the message.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Raw<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.key()?;
        let raw = match wire_type {
            0 => {
                self.varint()?;
                Raw::Varint
            }
            1 => {
                self.take(8)?;
                Raw::Fixed64
            }
            2 => {
                let len = self.varint()?;
                let len = usize::try_from(len).map_err(|_| self.fault(Fault::Truncated))?;
                let offset = self.offset;
                Raw::Bytes(self.take(len)?, offset)
            }
            3 => Raw::Group,
            5 => {
                self.take(4)?;
                Raw::Fixed32
            }
            4 => return Err(self.fault(Fault::Group)),
            _ => return Err(self.fault(Fault::Key)),
        };
        Ok(Some((number, raw)))
    }

    /// Goes behind the end of the group `number`, whose fields stand at `depth`.
    pub(super) fn skip_group(&mut self, number: u32, depth: u32) -> Result<(), WireError> {
        loop {
            let mut ahead = self.clone();
            let (inner, wire_type) = ahead.key()?;
            if wire_type == 4 {
                *self = ahead;
                return if inner == number {
                    Ok(())
                } else {
                    Err(self.fault(Fault::Group))
                };
            }
            let depth = self.deeper(depth)?;
            if let Some((inner, Raw::Group)) = self.next()? {
                self.skip_group(inner, depth)?;
            }
        }
    }

    /// One level less, or the error that none is left.
    pub(super) fn deeper(&self, depth: u32) -> Result<u32, WireError> {
        depth.checked_sub(1).ok_or(self.fault(Fault::Depth))
    }

    pub(super) fn fault(&self, fault: Fault) -> WireError {
        WireError {
            offset: self.offset,
            fault,
        }
    }

    fn key(&mut self) -> Result<(u32, u8), WireError> {
        let key = self.varint()?;
        let key = u32::try_from(key).map_err(|_| self.fault(Fault::Key))?;
        match key >> 3 {
            0 => Err(self.fault(Fault::Key)),
            number => Ok((number, (key & 7) as u8)),
        }
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        // Nearly all keys and lengths have one byte.
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            self.offset += 1;
            return Ok(byte.into());
        }
        let mut value = 0_u64;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                if index == 9 && byte > 1 {
                    break;
                }
                self.advance(index + 1);
                return Ok(value);
            }
        }
        Err(self.fault(Fault::Varint))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (taken, _) = self
            .rest
            .split_at_checked(len)
            .ok_or(self.fault(Fault::Truncated))?;
        self.advance(len);
        Ok(taken)
    }

    fn advance(&mut self, len: usize) {
        self.rest = &self.rest[len..];
        self.offset += len;
    }
}
