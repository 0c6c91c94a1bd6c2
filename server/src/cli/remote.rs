//! How commands find a server that runs.

use std::path::PathBuf;

use super::Failure;
use crate::client::{BridgeClient, HttpClient};
use crate::config::Token;
use crate::env::{self, Environment};

/// Where the bridge is unless something else is said.
pub(super) const DEFAULT_BRIDGE: &str = "127.0.0.1:50051";
/// Where the HTTP API is unless something else is said.
pub(super) const DEFAULT_HTTP: &str = "127.0.0.1:8080";

/// Address of the bridge, and the token.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub(super) struct BridgeArgs {
    /// The server's bridge [env: `LOOM_ADDRESS`] [default: 127.0.0.1:50051]
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) address: Option<String>,
    #[command(flatten)]
    pub(super) secret: SecretArgs,
}

/// Who is asked, and how the answer is shown.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AnswerArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) server: BridgeArgs,
}

/// Address of the HTTP API, and the token.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub(super) struct HttpArgs {
    /// The server's HTTP API [env: `LOOM_HTTP`] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) http: Option<String>,
    #[command(flatten)]
    pub(super) secret: SecretArgs,
}

/// The token is never a flag: flags can be read by every user of the machine.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct SecretArgs {
    /// A file with the server's token [env: `LOOM_TOKEN`, `LOOM_TOKEN_FILE`]
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
}

impl BridgeArgs {
    pub(super) fn address(&self, environment: &dyn Environment) -> String {
        pick(
            self.address.as_ref(),
            environment,
            env::LOOM_ADDRESS,
            DEFAULT_BRIDGE,
        )
    }

    pub(super) async fn connect(
        &self,
        environment: &dyn Environment,
    ) -> Result<BridgeClient, Failure> {
        let token = self.secret.token(environment)?;
        Ok(BridgeClient::connect(&self.address(environment), token).await?)
    }
}

impl HttpArgs {
    pub(super) fn address(&self, environment: &dyn Environment) -> String {
        pick(
            self.http.as_ref(),
            environment,
            env::LOOM_HTTP,
            DEFAULT_HTTP,
        )
    }

    pub(super) fn client(&self, environment: &dyn Environment) -> Result<HttpClient, Failure> {
        let token = self.secret.token(environment)?;
        Ok(HttpClient::new(&self.address(environment), token)?)
    }
}

impl SecretArgs {
    pub(super) fn token(&self, environment: &dyn Environment) -> Result<Option<Token>, Failure> {
        if let Some(path) = &self.token_file {
            return Ok(Some(Token::read(path)?));
        }
        if let Some(text) = environment.get(env::LOOM_TOKEN) {
            let refuse = |detail| {
                Failure::usage(format!(
                    "environment variable {}: {detail}",
                    env::LOOM_TOKEN
                ))
            };
            return Token::new(&text).map(Some).map_err(refuse);
        }
        let file = environment.get(env::LOOM_TOKEN_FILE).map(PathBuf::from);
        Ok(file.as_deref().map(Token::read).transpose()?)
    }
}

fn pick(flag: Option<&String>, environment: &dyn Environment, name: &str, default: &str) -> String {
    flag.cloned()
        .or_else(|| environment.get(name))
        .unwrap_or_else(|| default.to_owned())
}

/// One thread is enough for a command that asks and prints.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}
