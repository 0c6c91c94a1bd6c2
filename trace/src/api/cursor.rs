//! Cursors of lists: where a page ends, and of which list.

use std::fmt::Display;
use std::str::FromStr;

use super::error::Problem;
use super::params::Params;

/// Parameters that may differ from page to page.
const OF_THE_PAGE: [&str; 2] = ["cursor", "limit"];

/// The cursors of the list that these parameters ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursors {
    /// A checksum of the list's name and its conditions.
    list: u32,
}

impl Cursors {
    /// Of a list of this name.
    pub(super) fn of(name: &str, params: &Params) -> Self {
        let mut conditions: Vec<_> = params
            .pairs()
            .filter(|(key, _)| !OF_THE_PAGE.contains(key))
            .collect();
        conditions.sort_unstable();
        let text = format!("{name}{conditions:?}");
        Self {
            list: crc32c::crc32c(text.as_bytes()),
        }
    }

    /// The place that `cursor=` names.
    pub(super) fn read<P: FromStr<Err: Display>>(
        self,
        params: &Params,
    ) -> Result<Option<P>, Problem> {
        let Some(text) = params.text("cursor") else {
            return Ok(None);
        };
        let bad = || Problem::parameter("cursor", "it is no cursor of an earlier answer");
        let (list, place) = text.split_once('.').ok_or_else(bad)?;
        let list = u32::from_str_radix(list, 16).map_err(|_| bad())?;
        let place = place.parse().map_err(|_| bad())?;
        if list != self.list {
            return Err(Problem::cursor_mismatch());
        }
        Ok(Some(place))
    }

    /// The text of a place.
    pub(super) fn write(self, place: &impl Display) -> String {
        format!("{:08x}.{place}", self.list)
    }
}
