//! Defaults < file < environment < flags.

use std::path::{Path, PathBuf};

use loom_trace::Prices;

use super::{ConfigError, LoomConfig, Overrides, Token};
use crate::env::{self, Environment};

/// The name of the settings file.
pub const FILE_NAME: &str = "loom.toml";

/// Every setting with its default and a sentence.
pub const DEFAULT_FILE: &str = include_str!("../../loom.default.toml");

/// The settings file: the one that was named, else `loom.toml` in `directory` if it is there.
pub fn find_file(
    named: Option<PathBuf>,
    directory: &Path,
    environment: &dyn Environment,
) -> Option<PathBuf> {
    named
        .or_else(|| environment.get(env::LOOM_CONFIG).map(PathBuf::from))
        .or_else(|| {
            let beside = directory.join(FILE_NAME);
            beside.is_file().then_some(beside)
        })
}

/// Reads `file`, lays the environment and then `flags` over it, and checks the whole.
///
/// # Errors
/// The first thing that cannot be used, with what to write instead.
pub fn load(
    file: Option<&Path>,
    environment: &dyn Environment,
    flags: Overrides,
) -> Result<(LoomConfig, Option<Token>), ConfigError> {
    let mut config = match file {
        Some(path) => read(path)?,
        None => LoomConfig::default(),
    };
    Overrides::from_environment(environment)?.apply(&mut config);
    flags.apply(&mut config);
    config.validate()?;
    // The store reads it again; here a mistake in it is told before anything starts.
    config
        .genai
        .prices
        .as_deref()
        .map(Prices::read)
        .transpose()?;
    let token = token(&config, environment)?;
    if token.is_none()
        && !config.server.insecure_bind
        && let Some((key, address)) = config.server.exposed().next()
    {
        return Err(ConfigError::InsecureBind { key, address });
    }
    Ok((config, token))
}

/// Reads the text of a settings file; paths in it stay as they are.
///
/// # Errors
/// Line, key and what was expected.
pub fn parse(text: &str, path: &Path) -> Result<LoomConfig, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::File {
        path: path.to_owned(),
        detail: error.to_string().trim_end().to_owned(),
    })
}

/// Relative paths in a file are meant from where the file is.
fn read(path: &Path) -> Result<LoomConfig, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut config = parse(&text, path)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    for relative in [
        &mut config.server.data_dir,
        &mut config.server.token_file,
        &mut config.genai.prices,
    ]
    .into_iter()
    .flatten()
    {
        *relative = directory.join(&relative);
    }
    for agent in config.agents.values_mut() {
        agent.cwd = directory.join(&agent.cwd);
    }
    Ok(config)
}

/// The token comes from the environment or from a file, never from the settings file or a flag, where others can read it.
fn token(config: &LoomConfig, environment: &dyn Environment) -> Result<Option<Token>, ConfigError> {
    if let Some(text) = environment.get(env::LOOM_TOKEN) {
        let token = Token::new(&text).map_err(|detail| ConfigError::Variable {
            name: env::LOOM_TOKEN,
            detail: detail.to_owned(),
        })?;
        return Ok(Some(token));
    }
    config
        .server
        .token_file
        .as_deref()
        .map(Token::read)
        .transpose()
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
