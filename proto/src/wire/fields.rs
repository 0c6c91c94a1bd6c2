//! The protobuf wire format, one field at a time.

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its number in the `.proto` file.
    pub number: u32,
    /// What it holds.
    pub value: Value<'a>,
}

/// What a field holds, by wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// int32, int64, uint32, uint64, bool, enum.
    Varint(u64),
    /// fixed64, sfixed64, double.
    Fixed64(u64),
    /// string, bytes, message, packed repeated.
    Bytes(&'a [u8]),
    /// fixed32, sfixed32, float.
    Fixed32(u32),
    /// A group, which was walked over to its end; only [`Fields::with_groups`] has it.
    Group,
}

/// The bytes are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message ends inside a field.
    #[error("the message ends inside a field")]
    Truncated,
    /// A varint of more than ten bytes, or above 64 bits.
    #[error("a varint is longer than 10 bytes or above 64 bits")]
    Varint,
    /// A group where none is allowed, the end of one that did not begin, or a wire type that does not exist.
    #[error("wire type {0} is not allowed")]
    WireType(u8),
    /// A group ends as another one than it began.
    #[error("a group does not match its end")]
    Group,
    /// Groups stand deeper within each other than is allowed.
    #[error("groups are nested too deep")]
    Depth,
    /// Field number 0, or one beyond the range.
    #[error("a field number is out of range")]
    Number,
}

/// The fields of a message, in the order of the wire. As an iterator it ends after the first error.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    /// Levels that are left for groups.
    groups: u32,
}

impl<'a> Fields<'a> {
    /// Walks an encoded message of ours. proto3 has no groups, and here they count as malformed.
    pub const fn of(message: &'a [u8]) -> Self {
        Self::with_groups(message, 0)
    }

    /// Walks an encoded message in which unknown fields may be groups, `levels` deep, as decoders have it.
    pub const fn with_groups(message: &'a [u8], levels: u32) -> Self {
        Self {
            rest: message,
            groups: levels,
        }
    }

    /// What has not been walked yet. After [`try_next`](Self::try_next) has failed it begins where reading stopped.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field; `None` at the end of the message.
    ///
    /// # Errors
    /// Why there is none; do not go on then.
    #[expect(
        clippy::inline_always,
        reason = "a decoder calls it once for each kind of message; as a function it costs more than the field that it reads"
    )]
    #[inline(always)]
    pub fn try_next(&mut self) -> Result<Option<Field<'a>>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.key()?;
        let value = self.value(number, wire_type, self.groups)?;
        Ok(Some(Field { number, value }))
    }

    #[inline]
    fn key(&mut self) -> Result<(u32, u8), WireError> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3)
            .ok()
            .filter(|n| (1..1 << 29).contains(n))
            .ok_or(WireError::Number)?;
        Ok((number, key as u8 & 7))
    }

    #[expect(clippy::inline_always, reason = "for the same reason")]
    #[inline(always)]
    fn value(&mut self, number: u32, wire_type: u8, groups: u32) -> Result<Value<'a>, WireError> {
        Ok(match wire_type {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                Value::Bytes(self.take(length)?)
            }
            3 if groups > 0 => {
                self.skip_group(number, groups - 1)?;
                Value::Group
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            other => return Err(WireError::WireType(other)),
        })
    }

    /// Goes behind the end of the group `number`, in which `levels` are left.
    #[cold]
    fn skip_group(&mut self, number: u32, levels: u32) -> Result<(), WireError> {
        const END: u8 = 4;
        loop {
            match self.key()? {
                (inner, END) if inner == number => return Ok(()),
                (_, END) => return Err(WireError::Group),
                _ if levels == 0 => return Err(WireError::Depth),
                (inner, wire_type) => self.value(inner, wire_type, levels)?,
            };
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        // Nearly all keys and lengths of an event are one byte.
        if let [first, rest @ ..] = self.rest
            && *first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for at in 0..10 {
            let byte = *self.rest.get(at).ok_or(WireError::Truncated)?;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                // The tenth byte has room for one bit only.
                if at == 9 && byte > 1 {
                    break;
                }
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(WireError::Varint)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let field = self.try_next().transpose();
        if let Some(Err(_)) = field {
            self.rest = &[];
        }
        field
    }
}
