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
        }
    }
}
