//! Times and durations as people read them.

/// Nanoseconds as `812 ns`, `1.5 µs`, `23 ms`, `4.2 s`, `3 m 20 s`: three digits at most.
pub fn duration(ns: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("µs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
    if ns < 1_000 {
        return format!("{ns} ns");
    }
    let seconds = ns / 1_000_000_000;
    if seconds >= 60 {
        return match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, minutes, seconds) => format!("{minutes} m {seconds} s"),
            (hours, minutes, _) => format!("{hours} h {minutes} m"),
        };
    }
    let mut text = String::new();
    for (unit, size) in UNITS {
        let value = ns as f64 / size as f64;
        text = if value < 9.95 {
            format!("{value:.1} {unit}")
        } else {
            format!("{value:.0} {unit}")
        };
        // 999.6 µs would read "1000 µs".
        if value < 999.5 {
            break;
        }
    }
    text
}

/// Nanoseconds since the Unix epoch as RFC 3339 in UTC, with milliseconds.
pub fn rfc3339(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    let (year, month, day) = date(seconds / 86_400);
    let of_day = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        ns / 1_000_000 % 1000
    )
}

/// Nanoseconds since the Unix epoch of a time in RFC 3339, with any offset and up to nine digits of a second. `None` of
/// anything else, and of dates before 1970.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let number = |text: &str| -> Option<u64> {
        let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        is_plain.then(|| text.parse().ok()).flatten()
    };
    let (day, time) = text.split_once(['T', 't', ' '])?;
    let mut parts = day.splitn(3, '-');
    let mut part = |digits: usize| {
        let text = parts.next().filter(|text| text.len() == digits)?;
        number(text)
    };
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    // Minutes that the clock is ahead of UTC.
    let ahead = match zone {
        "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let (hours, minutes) = (number(hours)?, number(minutes)?);
            let minutes = i64::try_from(hours * 60 + minutes).ok()?;
            if zone.len() != 6 || minutes >= 24 * 60 {
                return None;
            }
            if zone.starts_with('-') {
                -minutes
            } else {
                minutes
            }
        }
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = time.splitn(3, ':');
    let mut part = |below: u64| {
        let text = parts.next().filter(|text| text.len() == 2)?;
        number(text).filter(|number| *number < below)
    };
    // A leap second is the first of the next minute.
    let (hour, minute, second) = (part(24)?, part(60)?, part(61)?);
    if fraction.len() > 9 {
        return None;
    }
    let fraction = number(fraction)? * 10_u64.pow(9 - fraction.len() as u32);
    // The day is found by the way back, which knows the calendar: none of its months has the wrong days.
    let years = year.checked_sub(1970)?;
    let guess = years * 365 + years / 4 + (month.checked_sub(1)?) * 28;
    let days = (guess.saturating_sub(40)..guess + 80).find(|&at| date(at) == (year, month, day))?;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    let seconds = seconds.checked_add_signed(-ahead * 60)?;
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// Year, month and day of a day counted from the Unix epoch, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Years that begin in March have their leap day at their end, so months have a regular pattern; eras of 400 years
    // all have the same length. Day 0 of the first era is 0000-03-01, 719 468 days before the epoch.
    const ERA: u64 = 146_097;
    let days = days + 719_468;
    let day_of_era = days % ERA;
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / (ERA - 1);
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = days / ERA * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.0 µs"),
            (9_960, "10 µs"),
            (999_499, "999 µs"),
            (999_600, "1.0 ms"),
            (1_500_000, "1.5 ms"),
            (59_000_000_000, "59 s"),
            (200_000_000_000, "3 m 20 s"),
            (7_500_000_000_000, "2 h 5 m"),
        ];
        for (ns, text) in cases {
            assert_eq!(duration(ns), text);
        }
    }

    #[test]
    fn dates() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999_999_999, "2024-02-29T23:59:59.999Z"),
            (1_709_251_200_000_000_000, "2024-03-01T00:00:00.000Z"),
            (4_107_542_400_123_000_000, "2100-03-01T00:00:00.123Z"),
        ];
        for (ns, text) in cases {
            assert_eq!(rfc3339(ns), text);
            assert_eq!(parse_rfc3339(text), Some(ns / 1_000_000 * 1_000_000));
        }
    }

    #[test]
    fn every_day_is_read_back() {
        for day in 0..200_000 {
            let ns = day * 86_400_000_000_000 + 3_723_004_000_000;
            assert_eq!(parse_rfc3339(&rfc3339(ns)), Some(ns), "{}", rfc3339(ns));
        }
    }

    #[test]
    fn times_that_are_read() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t02:30:00.5+02:30", 500_000_000),
            ("1970-01-02 00:00:01-01:00", 90_001_000_000_000),
            ("1970-01-01T00:00:00.123456789Z", 123_456_789),
        ] {
            assert_eq!(parse_rfc3339(text), Some(ns), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-1-1T00:00:00Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00:00+25:00",
            "2026-01-01T00:00:00Zx",
            "9999-01-01T00:00:00Z",
            "+026-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
