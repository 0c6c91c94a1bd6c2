//! What a call of a model costs, by a table of prices that people may replace.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The table that Loom brings along. Its head says where it is from, and of which day.
const OWN: &str = include_str!("../prices/prices.toml");

/// Prices by provider and model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prices {
    /// By each name of a provider, in lower case.
    providers: HashMap<String, Arc<Models>>,
}

/// Tokens of one call. Those from a cache and into it are part of the prompt's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of the prompt.
    pub prompt: i64,
    /// Of the prompt, those that came from a cache.
    pub cached: i64,
    /// Of the prompt, those that went into a cache.
    pub cache_write: i64,
    /// Of the answer.
    pub completion: i64,
}

/// A table of prices cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    /// It cannot be read.
    #[error("cannot read the prices in {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no table of prices; the detail names the line.
    #[error("{}: {detail}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected, and where.
        detail: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "source")]
    _source: Option<String>,
    #[serde(rename = "date")]
    _date: Option<toml::value::Datetime>,
    providers: BTreeMap<String, Provider>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    names: Vec<String>,
    models: BTreeMap<String, Price>,
}

/// USD for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    input: Usd,
    cached: Option<Usd>,
    cache_write: Option<Usd>,
    output: Option<Usd>,
    /// Tokens of the longest prompt that it holds for.
    up_to: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Usd(f64);

#[derive(Debug, PartialEq, Default)]
struct Models {
    exact: HashMap<String, Price>,
    /// Beginnings of names, the longest first.
    beginnings: Vec<(String, Price)>,
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let price = f64::deserialize(deserializer)?;
        if !price.is_finite() || price < 0.0 {
            return Err(D::Error::custom("a price is a number and not negative"));
        }
        Ok(Self(price))
    }
}

impl Prices {
    /// The prices that Loom brings along.
    ///
    /// # Errors
    /// None: a test reads the file.
    pub fn own() -> Result<Self, PricesError> {
        Self::parse(OWN, Path::new("prices.toml"))
    }

    /// Reads a file of the same form as `trace/prices/prices.toml`.
    ///
    /// # Errors
    /// It cannot be read, or says something else than prices; names the line.
    pub fn read(path: &Path) -> Result<Self, PricesError> {
        let text = fs::read_to_string(path).map_err(|source| PricesError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, PricesError> {
        let malformed = |detail: String| PricesError::Malformed {
            path: path.to_owned(),
            detail,
        };
        let file: File = toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let mut prices = Self::default();
        for (id, provider) in file.providers {
            let models = Arc::new(Models::of(provider.models));
            for name in provider.names {
                let name = name.to_lowercase();
                if prices.providers.contains_key(&name) {
                    return Err(malformed(format!(
                        "providers.{id}: another provider has the name {name:?} too"
                    )));
                }
                prices.providers.insert(name, Arc::clone(&models));
            }
        }
        Ok(prices)
    }

    /// What a call costs, in USD; `None` where nobody knows.
    pub fn cost(&self, provider: &str, model: &str, usage: Usage) -> Option<f64> {
        let models = self.providers.get(&provider.to_lowercase())?;
        models.price(&model.to_lowercase())?.cost(usage)
    }
}

impl Models {
    fn of(models: BTreeMap<String, Price>) -> Self {
        let mut by_name = Self::default();
        for (name, price) in models {
            let name = name.to_lowercase();
            match name.strip_suffix('*') {
                Some(beginning) => by_name.beginnings.push((beginning.to_owned(), price)),
                None => _ = by_name.exact.insert(name, price),
            }
        }
        by_name
            .beginnings
            .sort_by_key(|(beginning, _)| std::cmp::Reverse(beginning.len()));
        by_name
    }

    fn price(&self, model: &str) -> Option<&Price> {
        let begins = || {
            self.beginnings
                .iter()
                .find(|(beginning, _)| model.starts_with(beginning))
        };
        self.exact
            .get(model)
            .or_else(|| begins().map(|(_, price)| price))
    }
}

impl Price {
    fn cost(&self, usage: Usage) -> Option<f64> {
        if self.up_to.is_some_and(|most| usage.prompt > most) {
            return None;
        }
        let plain = (usage.prompt - usage.cached - usage.cache_write).max(0);
        let parts = [
            (plain, Some(self.input)),
            // Who names no price of their own for them takes that of all others.
            (usage.cached, self.cached.or(Some(self.input))),
            (usage.cache_write, self.cache_write.or(Some(self.input))),
            (usage.completion, self.output),
        ];
        let mut millionths = 0.0;
        for (tokens, price) in parts.into_iter().filter(|(tokens, _)| *tokens > 0) {
            millionths += tokens as f64 * price?.0;
        }
        Some(millionths / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
[providers.maker]
names = ["maker", "Cloud.Maker"]
[providers.maker.models]
"m" = { input = 1, output = 10 }
"m-large*" = { input = 2, cached = 0.5, cache_write = 4, output = 20, up_to = 1000 }
"m-large-2026*" = { input = 3, output = 30 }
"embed" = { input = 0.1 }
"#;

    fn cost(provider: &str, model: &str, prompt: i64, completion: i64) -> Option<f64> {
        let usage = Usage {
            prompt,
            completion,
            ..Usage::default()
        };
        let prices = Prices::parse(TABLE, Path::new("x.toml")).expect("good");
        prices.cost(provider, model, usage)
    }

    fn is(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() < 1e-12)
    }

    #[test]
    fn an_exact_name_counts_before_a_beginning_and_a_longer_one_before_a_shorter() {
        assert!(is(cost("maker", "m", 1_000_000, 100_000), 2.0));
        assert!(is(cost("CLOUD.maker", "M-Large", 500, 0), 0.001));
        assert!(is(cost("maker", "m-large-2025-01-01", 500, 0), 0.001));
        assert!(is(cost("maker", "m-large-2026-01-01", 500, 0), 0.0015));
    }

    #[test]
    fn what_nobody_knows_has_no_price() {
        assert_eq!(cost("other", "m", 1, 1), None);
        assert_eq!(cost("maker", "m2", 1, 1), None);
        assert_eq!(cost("maker", "m-large", 1001, 1), None, "too long a prompt");
        assert_eq!(cost("maker", "embed", 1, 1), None, "it gives no answers");
        assert!(is(cost("maker", "embed", 1_000_000, 0), 0.1));
    }

    #[test]
    fn tokens_of_a_cache_have_their_own_price() {
        let prices = Prices::parse(TABLE, Path::new("x.toml")).expect("good");
        let usage = Usage {
            prompt: 1000,
            cached: 600,
            cache_write: 100,
            completion: 10,
        };
        let found = prices.cost("maker", "m-large", usage);
        assert!(is(
            found,
            (300.0 * 2.0 + 600.0 * 0.5 + 100.0 * 4.0 + 200.0) / 1e6
        ));
        let found = prices.cost("maker", "m", usage);
        assert!(is(found, (1000.0 + 100.0) / 1e6), "no discount is known");
    }

    #[test]
    fn a_bad_table_is_refused_with_its_line() {
        let bad = [
            (
                "[providers.a]\nnames = [\"a\"]\n[providers.a.models]\n\"m\" = { input = -1 }",
                "line 4",
            ),
            (
                "[providers.a]\nnames = [\"a\"]\n[providers.a.models]\n\"m\" = { output = 1 }",
                "line 4",
            ),
            ("[providers.a]\nname = \"a\"", "line 2"),
            ("[[[", "line 1"),
        ];
        for (text, line) in bad {
            let error = Prices::parse(text, Path::new("x.toml")).expect_err(text);
            let told = error.to_string();
            assert!(
                told.starts_with("x.toml: ") && told.contains(line),
                "{told}"
            );
        }
        let twice = TABLE.to_owned() + "[providers.b]\nnames = [\"MAKER\"]\nmodels = {}";
        let error = Prices::parse(&twice, Path::new("x.toml")).expect_err("one name twice");
        assert!(error.to_string().contains("\"maker\""), "{error}");
        let error = Prices::read(Path::new("not/there.toml")).expect_err("not there");
        assert!(error.to_string().contains("not/there.toml"), "{error}");
    }

    #[test]
    fn our_own_table_knows_the_usual_models() {
        let prices = Prices::own().expect("readable");
        let usage = Usage {
            prompt: 1_000,
            completion: 1_000,
            ..Usage::default()
        };
        for (provider, model) in [
            ("openai", "gpt-4o-mini-2024-07-18"),
            ("anthropic", "claude-sonnet-4-20250514"),
            ("gcp.gemini", "gemini-2.5-flash"),
            ("azure.ai.openai", "gpt-4o"),
            ("groq", "llama-3.3-70b-versatile"),
        ] {
            let cost = prices.cost(provider, model, usage);
            assert!(
                cost.is_some_and(|usd| usd > 0.0 && usd < 1.0),
                "{provider} {model}: {cost:?}"
            );
        }
    }
}
