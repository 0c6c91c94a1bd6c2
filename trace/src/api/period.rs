//! Times in a query: `time_range=`, or `from=` and `to=`.

use std::time::Duration;

use super::error::Problem;
use super::params::{Params, go_duration};
use crate::time_text::parse_rfc3339;

/// More than the store keeps by far; a longer one is a mistake.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A time that is asked for, ns since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its begin.
    pub from_ns: u64,
    /// Its end; `None`: whatever comes.
    pub to_ns: Option<u64>,
}

impl Period {
    pub(super) fn of(params: &Params, default: Duration, now_ns: u64) -> Result<Self, Problem> {
        Self::read(|name| params.text(name), default, now_ns)
    }

    /// `time_range=15m` until now, or `from=` and `to=`; without any of them `default` until now. `text` has the value of a
    /// parameter.
    ///
    /// # Errors
    /// One of them is no time, both ways are used at once, or the end lies before the begin.
    pub fn read(
        text: impl Fn(&str) -> Option<String>,
        default: Duration,
        now_ns: u64,
    ) -> Result<Self, Problem> {
        let before_now = |period: Duration| now_ns.saturating_sub(period.as_nanos() as u64);
        let moment = |name| {
            let moment = text(name).map(|text| time(&text, now_ns)).transpose();
            moment.map_err(|why| Problem::parameter(name, why))
        };
        let (from_ns, to_ns) = (moment("from")?, moment("to")?);
        let range = text("time_range").map(|text| time_range(&text)).transpose();
        if let Some(range) = range.map_err(|why| Problem::parameter("time_range", why))? {
            if from_ns.is_some() || to_ns.is_some() {
                let why = "stands beside from or to, give one of them";
                return Err(Problem::parameter("time_range", why));
            }
            return Ok(Self {
                from_ns: before_now(range),
                to_ns: None,
            });
        }
        let period = Self {
            from_ns: from_ns.unwrap_or_else(|| {
                let end = to_ns.unwrap_or(now_ns).min(now_ns);
                end.saturating_sub(default.as_nanos() as u64)
            }),
            to_ns,
        };
        if period.to_ns.is_some_and(|to| to < period.from_ns) {
            return Err(Problem::parameter("to", "lies before from"));
        }
        Ok(period)
    }
}

/// `now`, `now-15m`, RFC 3339, or ns since the Unix epoch.
pub(super) fn time(text: &str, now_ns: u64) -> Result<u64, String> {
    if let Ok(ns) = text.parse() {
        return Ok(ns);
    }
    let bad = || {
        format!(
            "must be a time like 2026-01-31T12:00:00Z, now-15m or nanoseconds since 1970, got {text:?}"
        )
    };
    match text.strip_prefix("now") {
        Some("") => Ok(now_ns),
        Some(before) => {
            let before = before.strip_prefix('-').ok_or_else(bad)?;
            // Days are the one unit that Go's durations do not have.
            let before = time_range(before)
                .map(|range| range.as_nanos() as u64)
                .or_else(|_| go_duration(before))
                .map_err(|_| bad())?;
            Ok(now_ns.saturating_sub(before))
        }
        None => parse_rfc3339(text).ok_or_else(bad),
    }
}

/// A number and its unit: `90s`, `15m`, `24h`, `7d`.
pub(super) fn time_range(text: &str) -> Result<Duration, String> {
    let bad = || format!("must be a number with s, m, h or d, like 24h, got {text:?}");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(bad()),
    };
    let range = Duration::from_secs(number.saturating_mul(seconds));
    if range.is_zero() {
        return Err(format!("no time at all, got {text:?}"));
    }
    if range > LONGEST {
        return Err(format!("at most 366d, got {text:?}"));
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let good = [
            ("90s", 90),
            ("15m", 900),
            ("24h", 86_400),
            ("7d", 604_800),
            ("366d", 31_622_400),
        ];
        for (text, seconds) in good {
            assert_eq!(time_range(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "h",
            "24",
            "0h",
            "-1h",
            "1.5h",
            "24H",
            "1h30m",
            "367d",
            "99999999999999999999h",
            "18446744073709551615d",
        ] {
            assert!(time_range(text).is_err(), "{text}");
        }
    }

    fn period(query: &str) -> Result<Period, Problem> {
        let uri = format!("/x?{query}").parse().expect("a URI");
        let day = Duration::from_secs(24 * 3600);
        Period::of(&Params::of(&uri)?, day, 10 * 86_400_000_000_000)
    }

    #[test]
    fn periods() {
        const HOUR: u64 = 3_600_000_000_000;
        let now = 240 * HOUR;
        for (query, from_ns, to_ns) in [
            ("", now - 24 * HOUR, None),
            ("time_range=1h", now - HOUR, None),
            ("from=now-2h&to=now-1h", now - 2 * HOUR, Some(now - HOUR)),
            ("from=now-7d", now - 168 * HOUR, None),
            ("from=now-1h30m", now - HOUR - HOUR / 2, None),
            ("to=now", now - 24 * HOUR, Some(now)),
            (
                "from=1970-01-01T01:00:00Z&to=7200000000000",
                HOUR,
                Some(2 * HOUR),
            ),
            ("from=5&to=18446744073709551615", 5, Some(u64::MAX)),
        ] {
            let expected = Period { from_ns, to_ns };
            assert_eq!(period(query).expect(query), expected, "{query}");
        }
        for query in [
            "time_range=1y",
            "time_range=1h&from=now",
            "from=yesterday",
            "from=now%2B1h",
            "from=now-",
            "to=-5",
            "from=now&to=now-1s",
        ] {
            assert!(period(query).is_err(), "{query}");
        }
    }
}
