//! The id of an event: a UUID of version 7, so that ids sort by the time of their making; of version 5 where the same event may be
//! made twice and must be one.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// 16 bytes on the wire, the usual text with dashes everywhere else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct EventId(pub [u8; 16]);

/// The text or the bytes are no UUID.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an event id is a UUID: 16 bytes, or 36 characters as text")]
pub struct InvalidEventId;

impl EventId {
    /// A new id of this moment.
    pub fn now() -> Self {
        Self(*Uuid::now_v7().as_bytes())
    }

    /// An id of a given moment (nanoseconds since the Unix epoch) with 62 random bits of the caller's: no clock, no lock, no
    /// system call. Below the milliseconds stand 12 bits of sub-millisecond time (RFC 9562, 6.2, method 3), so that
    /// ids sort to a quarter of a microsecond.
    pub fn from_parts(unix_nano: u64, random: u64) -> Self {
        let millis = unix_nano / 1_000_000;
        let fraction = (unix_nano % 1_000_000 * 4096 / 1_000_000) as u16;
        let mut id = [0; 16];
        id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        id[6..8].copy_from_slice(&(0x7000 | fraction).to_be_bytes());
        id[8..].copy_from_slice(&(random >> 2 | 1 << 63).to_be_bytes());
        Self(id)
    }

    /// The id of something that is made of this event under a name, and is the same whenever it is made (a UUID of version 5
    /// whose namespace is this id).
    #[must_use]
    pub fn derived(self, name: &str) -> Self {
        let namespace = Uuid::from_bytes(self.0);
        Self(*Uuid::new_v5(&namespace, name.as_bytes()).as_bytes())
    }

    /// Takes the bytes of a protobuf field.
    ///
    /// # Errors
    /// When they are not 16, or all zero.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidEventId> {
        match <[u8; 16]>::try_from(bytes) {
            Ok(id) if id != [0; 16] => Ok(Self(id)),
            _ => Err(InvalidEventId),
        }
    }

    /// Writes the text form without allocating.
    pub fn to_text(self) -> [u8; 36] {
        let mut text = [0; 36];
        Uuid::from_bytes(self.0)
            .as_hyphenated()
            .encode_lower(&mut text);
        text
    }
}

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Uuid::try_parse(text).map_err(|_| InvalidEventId)?;
        Self::from_slice(id.as_bytes())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Uuid::from_bytes(self.0), f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_are_one_value() {
        let id = EventId::now();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(EventId::from_slice(&id.0), Ok(id));
        assert_eq!(id.to_string().as_bytes(), id.to_text());
    }

    #[test]
    fn what_is_no_uuid_is_refused() {
        assert_eq!(EventId::from_slice(&[1; 15]), Err(InvalidEventId));
        assert_eq!(EventId::from_slice(&[0; 16]), Err(InvalidEventId));
        assert_eq!("reading-1".parse::<EventId>(), Err(InvalidEventId));
    }

    #[test]
    fn an_id_of_parts_is_a_uuid_of_version_7_of_that_moment() {
        let nanos = 1_700_000_000_123_456_789_u64;
        for random in [0, u64::MAX, 0x0123_4567_89ab_cdef] {
            let id = EventId::from_parts(nanos, random);
            let uuid = Uuid::from_bytes(id.0);
            assert_eq!(uuid.get_version_num(), 7);
            assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
            let (seconds, fraction) = uuid.get_timestamp().expect("version 7 has one").to_unix();
            assert_eq!(seconds, 1_700_000_000);
            assert_eq!(fraction / 1_000_000, 123);
            assert!(id < EventId::from_parts(nanos + 250, 0));
        }
    }

    #[test]
    fn a_derived_id_is_made_of_its_event_and_its_name() {
        let id: EventId = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
            .parse()
            .expect("a UUID");
        // The namespace for DNS names, with the value that Python's uuid5 has for it.
        let derived = id.derived("python.org").to_string();
        assert_eq!(derived, "886313e1-3b8a-5372-9b90-0c9aee199e5d");
        assert_ne!(id.derived("a"), id.derived("b"));
    }

    #[test]
    fn later_ids_sort_later() {
        let ids: Vec<_> = (0..1000).map(|_| EventId::now()).collect();
        assert!(ids.is_sorted());
    }
}
