//! Where a group begins, or a reader, as the wire says it.

use loom_core::GroupStart;
use loom_proto::v1;
use loom_proto::v1::position::At;

/// What a share says; the oldest event where it says nothing.
///
/// # Errors
/// It says two places, or one that is not known. The message goes on after the name of whoever said it.
pub(crate) fn read(share: &v1::Acknowledged) -> Result<GroupStart, String> {
    let named = match v1::Start::try_from(share.start) {
        Ok(v1::Start::Unspecified) => None,
        Ok(v1::Start::New) => Some(GroupStart::Next),
        // The oldest in its place would handle once more what nobody asked for.
        Err(_) => return Err(format!("has the unknown start {}", share.start)),
    };
    let said = [
        ("start", named),
        ("start_offset", share.start_offset.map(GroupStart::Offset)),
        (
            "start_time_unix_nano",
            share.start_time_unix_nano.map(GroupStart::Time),
        ),
    ];
    let mut said = said
        .into_iter()
        .filter_map(|(field, start)| Some((field, start?)));
    match (said.next(), said.next()) {
        (Some((one, _)), Some((other, _))) => Err(format!(
            "says {one} and {other}: a group begins at one place, say one of them"
        )),
        (Some((_, start)), None) => Ok(start),
        (None, _) => Ok(GroupStart::Oldest),
    }
}

/// The same share, with the place at which its group begins.
pub(crate) fn write(start: GroupStart, mut share: v1::Acknowledged) -> v1::Acknowledged {
    match start {
        GroupStart::Oldest => share.set_start(v1::Start::Unspecified),
        GroupStart::Next => share.set_start(v1::Start::New),
        GroupStart::Offset(offset) => share.start_offset = Some(offset),
        GroupStart::Time(unix_nano) => share.start_time_unix_nano = Some(unix_nano),
    }
    share
}

/// `None` where nothing is said.
pub(crate) fn position(said: Option<v1::Position>) -> Option<GroupStart> {
    Some(match said?.at? {
        At::Oldest(_) => GroupStart::Oldest,
        At::Next(_) => GroupStart::Next,
        At::Offset(offset) => GroupStart::Offset(offset),
        At::TimeUnixNano(unix_nano) => GroupStart::Time(unix_nano),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for start in [
            GroupStart::Oldest,
            GroupStart::Next,
            GroupStart::Offset(0),
            GroupStart::Offset(u64::MAX),
            GroupStart::Time(0),
            GroupStart::Time(1_793_491_201_000_000_000),
        ] {
            assert_eq!(read(&write(start, v1::Acknowledged::default())), Ok(start));
        }
    }
}
