//! Whether a trace is recorded: the same decision in every process and language.
//!
//! `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` as the OTel specification has them; the alias
//! `OTEL_TRACE_SAMPLER` is read where the standard name is not set.

use loom_proto::trace_context::{TraceContext, TraceId};

/// Environment variable of the specification.
pub const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
/// Its argument: the ratio.
pub const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
/// Alias that Loom promised.
pub const SAMPLER_ALIAS: &str = "OTEL_TRACE_SAMPLER";

/// Decides at a trace's root, and, unless parent-based, again at each hop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Follow the parent's decision where there is a parent.
    pub parent_based: bool,
    /// The decision at a root.
    pub root: RootSampler,
}

/// The decision at a root.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RootSampler {
    /// Record.
    AlwaysOn,
    /// Do not record.
    AlwaysOff,
    /// Record this part of all traces, from 0 to 1, decided by the trace id alone.
    Ratio(f64),
}

/// The variable's value is none of the specification's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "{variable}={value} is not known: use always_on, always_off, traceidratio, or one of them with the prefix parentbased_; a ratio is a number from 0 to 1"
)]
pub struct InvalidSampler {
    /// Name of the variable.
    pub variable: &'static str,
    /// What it held.
    pub value: String,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            parent_based: true,
            root: RootSampler::AlwaysOn,
        }
    }
}

impl Sampler {
    /// Reads the environment through `get`.
    ///
    /// # Errors
    /// An unknown name or ratio; the caller warns once and goes on with the default.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSampler> {
        let set = |variable| {
            get(variable)
                .filter(|value| !value.trim().is_empty())
                .map(|value| (variable, value))
        };
        let Some((variable, value)) = set(SAMPLER).or_else(|| set(SAMPLER_ALIAS)) else {
            return Ok(Self::default());
        };
        let name = value.trim().to_ascii_lowercase();
        let root = match name.strip_prefix("parentbased_").unwrap_or(&name) {
            "always_on" => RootSampler::AlwaysOn,
            "always_off" => RootSampler::AlwaysOff,
            "traceidratio" => RootSampler::Ratio(ratio(set(SAMPLER_ARG).map(|(_, value)| value))?),
            _ => return Err(InvalidSampler { variable, value }),
        };
        Ok(Self {
            parent_based: name.starts_with("parentbased_"),
            root,
        })
    }

    /// Whether a new trace is recorded.
    pub fn samples_root(&self, trace_id: TraceId) -> bool {
        match self.root {
            RootSampler::AlwaysOn => true,
            RootSampler::AlwaysOff => false,
            RootSampler::Ratio(ratio) => {
                // As the OTel SDKs do it: the last 8 bytes, 63 of their bits, against the ratio.
                let value = u128::from_be_bytes(trace_id.0) as u64 >> 1;
                (value as f64) < ratio * (1_u64 << 63) as f64
            }
        }
    }

    /// Whether a span under `parent` is recorded. `always_off` without `parentbased_` also stops sampled parents.
    pub fn samples_child(&self, parent: &TraceContext) -> bool {
        if self.parent_based {
            parent.is_sampled()
        } else {
            self.samples_root(parent.trace_id)
        }
    }
}

fn ratio(argument: Option<String>) -> Result<f64, InvalidSampler> {
    let Some(text) = argument else { return Ok(1.0) };
    match text.trim().parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err(InvalidSampler {
            variable: SAMPLER_ARG,
            value: text,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::new_root;

    fn sampler(variables: &[(&str, &str)]) -> Result<Sampler, InvalidSampler> {
        Sampler::from_env(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_default_records_all_and_follows_the_parent() {
        let default = sampler(&[]).expect("valid");
        assert!(default.samples_root(new_root(true).trace_id));
        assert!(default.samples_child(&new_root(true)));
        assert!(!default.samples_child(&new_root(false)));
    }

    #[test]
    fn the_standard_name_wins_over_the_alias() {
        let read = sampler(&[
            (SAMPLER_ALIAS, "always_on"),
            (SAMPLER, "parentbased_always_off"),
        ])
        .expect("valid");
        assert_eq!(
            read,
            Sampler {
                parent_based: true,
                root: RootSampler::AlwaysOff
            }
        );
        assert_eq!(
            sampler(&[(SAMPLER_ALIAS, "always_off")])
                .expect("valid")
                .root,
            RootSampler::AlwaysOff
        );
    }

    #[test]
    fn a_ratio_decides_by_the_trace_id() {
        let half = sampler(&[(SAMPLER, "traceidratio"), (SAMPLER_ARG, "0.5")]).expect("valid");
        let ids: Vec<_> = (0..4000).map(|_| new_root(true).trace_id).collect();
        let sampled = ids.iter().filter(|id| half.samples_root(**id)).count();
        assert!((1700..2300).contains(&sampled), "{sampled} of 4000");
        assert!(
            ids.iter()
                .all(|id| half.samples_root(*id) == half.samples_root(*id))
        );
        let all = sampler(&[(SAMPLER, "traceidratio")]).expect("valid");
        assert!(ids.iter().all(|id| all.samples_root(*id)));
    }

    #[test]
    fn what_is_unknown_is_named() {
        assert_eq!(
            sampler(&[(SAMPLER, "sometimes")])
                .expect_err("unknown")
                .variable,
            SAMPLER
        );
        assert_eq!(
            sampler(&[(SAMPLER, "traceidratio"), (SAMPLER_ARG, "2")])
                .expect_err("too big")
                .variable,
            SAMPLER_ARG
        );
    }
}
