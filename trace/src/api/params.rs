//! Query parameters: read leniently where Jaeger does, refused with the parameter's name where they are wrong.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;

use super::error::Problem;
use super::jaeger::find::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::model::StatusCode;
use crate::query::{Field, Predicate, Search, Sort, Words};

const DAY_NS: u64 = 24 * 3600 * 1_000_000_000;

/// The parameters of a request; a name may stand there more than once.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn of(uri: &Uri) -> Result<Self, Problem> {
        Query::try_from_uri(uri)
            .map(|Query(pairs)| Self(pairs))
            .map_err(|error| Problem::bad_request(error.body_text()))
    }

    /// Parameters that did not stand in an address.
    pub(super) fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// All names and values.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The first value of that name that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.all(name)
            .find(|value| !value.is_empty())
            .map(str::to_owned)
    }

    /// All values of that name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// `limit=`: how many are wanted, from 1 to `max`.
    pub(super) fn limit(&self, default: usize, max: usize) -> Result<usize, Problem> {
        let limit = self.parse("limit", |text| match text.parse() {
            Ok(limit) if (1..=max).contains(&limit) => Ok(limit),
            _ => Err(format!("must be a number from 1 to {max}, got {text:?}")),
        })?;
        Ok(limit.unwrap_or(default))
    }

    /// The words of a text; `None` where there is none.
    pub(super) fn words(&self, name: &str) -> Result<Option<Words>, Problem> {
        let words = self.parse(name, |text| {
            Words::of(text).map_err(|error| error.to_string())
        })?;
        Ok(words.flatten())
    }

    /// A parameter that is read in some way.
    pub(super) fn parse<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|text| parse(&text).map_err(|why| Problem::parameter(name, why)))
            .transpose()
    }

    /// A Jaeger search. Unknown parameters are ignored, as Jaeger's UI sends some.
    pub(super) fn search(&self, now_ns: u64) -> Result<Search, Problem> {
        let mut all = self.conditions()?;
        all.extend(self.jaeger_period(now_ns)?);
        let limit = match self.parse("limit", number::<usize>)? {
            None | Some(0) => DEFAULT_LIMIT,
            Some(limit) => limit.min(MAX_LIMIT),
        };
        Ok(Search {
            matching: Predicate::All(all),
            no_errors: false,
            sort: Sort::Newest,
            after: None,
            limit,
        })
    }

    /// `start=` and `end=` in microseconds; without a start the last two days.
    pub(super) fn jaeger_period(&self, now_ns: u64) -> Result<Vec<Predicate>, Problem> {
        let micros = |text: &str| number::<u64>(text).map(|us| us.saturating_mul(1_000));
        let start_ns = self.parse("start", micros)?;
        let start_ns = start_ns.unwrap_or(now_ns.saturating_sub(2 * DAY_NS));
        let mut period = vec![Predicate::From(start_ns)];
        period.extend(self.parse("end", micros)?.map(Predicate::To));
        Ok(period)
    }

    /// The conditions that Jaeger's search and Loom's have in common.
    pub(super) fn conditions(&self) -> Result<Vec<Predicate>, Problem> {
        let mut all: Vec<Predicate> = [
            (Field::Service, "service"),
            (Field::Operation, "operation"),
            (Field::Agent, "agent"),
        ]
        .into_iter()
        .filter_map(|(field, name)| Predicate::optional(field, self.text(name)))
        .collect();
        let tags = self.tags()?.into_iter();
        all.extend(tags.map(|(key, value)| Predicate::Attribute(key, value)));
        let min_ns = self.parse("minDuration", go_duration)?;
        let max_ns = self.parse("maxDuration", go_duration)?;
        all.extend(duration(min_ns, max_ns, "maxDuration")?);
        if self.text("errors").is_some_and(|e| e == "true" || e == "1") {
            all.push(Predicate::Status(StatusCode::Error));
        }
        Ok(all)
    }

    /// `tags={"k":"v"}` and `tag=k:v`, both as often as wanted.
    fn tags(&self) -> Result<Vec<(String, String)>, Problem> {
        let mut tags = Vec::new();
        for json in self.all("tags").filter(|json| !json.is_empty()) {
            let map: BTreeMap<String, String> = serde_json::from_str(json).map_err(|error| {
                Problem::parameter("tags", format!("must be a JSON map of texts: {error}"))
            })?;
            tags.extend(map);
        }
        for pair in self.all("tag") {
            let (key, value) = pair.split_once(':').ok_or_else(|| {
                Problem::parameter("tag", format!("must be key:value, got {pair:?}"))
            })?;
            tags.push((key.to_owned(), value.to_owned()));
        }
        Ok(tags)
    }
}

/// Conditions about the duration of a span.
pub(super) fn duration(
    min_ns: Option<u64>,
    max_ns: Option<u64>,
    max_name: &str,
) -> Result<Vec<Predicate>, Problem> {
    if min_ns.zip(max_ns).is_some_and(|(min, max)| max < min) {
        return Err(Problem::parameter(max_name, "is shorter than the shortest"));
    }
    let min = min_ns.map(Predicate::AtLeast);
    Ok(min
        .into_iter()
        .chain(max_ns.map(Predicate::AtMost))
        .collect())
}

fn number<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|error| format!("{error}, got {text:?}"))
}

/// A duration as Go writes it, `1h2m3.5s`, `300ms`, `1.2µs`, in ns.
pub(super) fn go_duration(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("μs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3600e9),
    ];
    let bad = || format!("must be a duration like 1.5s, 300ms or 1h10m, got {text:?}");
    if text == "0" {
        return Ok(0);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0.0;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(bad)?;
        let (amount, behind) = rest.split_at(digits);
        let letters = behind
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let (_, size) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(bad)?;
        total += amount.parse::<f64>().map_err(|_| bad())? * size;
        rest = behind;
    }
    // A float beyond the range becomes the largest number.
    Ok(total.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(query: &str) -> Result<Search, Problem> {
        let uri: Uri = format!("/api/traces?{query}").parse().expect("a URI");
        Params::of(&uri)?.search(10 * DAY_NS)
    }

    #[test]
    fn go_durations() {
        let good = [
            ("0", 0),
            ("1ns", 1),
            ("1.5us", 1_500),
            ("2µs", 2_000),
            ("300ms", 300_000_000),
            ("1h2m3.5s", 3_723_500_000_000),
            ("+1m", 60_000_000_000),
            (".5s", 500_000_000),
        ];
        for (text, ns) in good {
            assert_eq!(go_duration(text), Ok(ns), "{text}");
        }
        for text in ["", "1", "s", "-1s", "1 s", "1x", "1..5s", "1s2", "."] {
            assert!(go_duration(text).is_err(), "{text}");
        }
    }

    /// The conditions of a good search.
    fn conditions(query: &str) -> Vec<Predicate> {
        match search(query).expect(query).matching {
            Predicate::All(all) => all,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn units_are_those_of_jaeger() {
        let query = "service=a%20b&start=1000000&end=2000000&minDuration=1ms&lookback=1h";
        let expected = [
            Predicate::Is(Field::Service, "a b".to_owned()),
            Predicate::AtLeast(1_000_000),
            Predicate::From(1_000_000_000),
            Predicate::To(2_000_000_000),
        ];
        assert_eq!(conditions(query), expected);
    }

    #[test]
    fn without_times_two_days_are_searched() {
        assert_eq!(conditions(""), [Predicate::From(8 * DAY_NS)]);
        for (query, limit) in [
            ("", 100),
            ("limit=0", 100),
            ("limit=5", 5),
            ("limit=9999", 1_500),
        ] {
            assert_eq!(search(query).expect(query).limit, limit);
        }
    }

    #[test]
    fn tags_in_both_forms() {
        let tags = conditions("tags=%7B%22a%22%3A%22b%22%7D&tag=c:d:e&tag=f:&start=0");
        let tag = |key: &str, value: &str| Predicate::Attribute(key.to_owned(), value.to_owned());
        let expected = [
            tag("a", "b"),
            tag("c", "d:e"),
            tag("f", ""),
            Predicate::From(0),
        ];
        assert_eq!(tags, expected);
    }

    #[test]
    fn wrong_values_are_refused() {
        for query in [
            "start=yesterday",
            "limit=-1",
            "minDuration=5",
            "minDuration=2s&maxDuration=1s",
            "tags=[]",
            "tags={%22a%22:1}",
            "tag=nocolon",
        ] {
            assert!(search(query).is_err(), "{query}");
        }
    }
}
