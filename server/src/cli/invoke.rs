//! `loom invoke`.

use loom_proto::v1;
use serde_json::{Value, json};

use super::publish::pair;
use super::remote::{BridgeArgs, block_on};
use super::terminal::clean;
use super::{Exit, Failure, Terminal};
use crate::config::Period;
use crate::env::Environment;

/// Arguments of `loom invoke`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom invoke calc.add '{\"a\": 1, \"b\": 2}'
  loom invoke report.make --timeout 2m --json
  loom agents                        shows who provides what")]
pub struct Args {
    /// The capability
    capability: String,
    /// The arguments, as JSON
    #[arg(value_name = "ARGS", default_value = "{}")]
    arguments: String,
    /// How long to wait [default: the server's]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Period>,
    /// A header of the call, like traceparent; can be given several times
    #[arg(long = "header", value_name = "KEY=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// Print JSON, the error too
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: BridgeArgs,
}

pub(super) fn execute(
    args: Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    if let Err(error) = serde_json::from_str::<Value>(&args.arguments) {
        return Err(Failure::usage(format!(
            "the arguments are no JSON: {error}"
        )));
    }
    let timeout_ms = args.timeout.map_or(0, |period| {
        u32::try_from(period.0.as_millis()).unwrap_or(u32::MAX)
    });
    let call = v1::ActionCall {
        call_id: 1,
        capability: args.capability,
        args: args.arguments.into_bytes().into(),
        content_type: "application/json".to_owned(),
        headers: args.headers.into_iter().collect(),
        timeout_ms,
        caller: String::new(),
    };
    block_on(async {
        let reply = args.server.connect(environment).await?.invoke(call).await?;
        match reply.outcome {
            Some(v1::action_reply::Outcome::Result(result)) => {
                terminal.print(&shown(&result, args.json))?;
                Ok(Exit::Ok)
            }
            Some(v1::action_reply::Outcome::Error(error)) => {
                let exit = match error.code() {
                    v1::Code::UnknownCapability => Exit::NotFound,
                    _ => Exit::Failure,
                };
                if args.json {
                    terminal.print(
                        &json!({ "error": error.code().name(), "message": error.message })
                            .to_string(),
                    )?;
                    return Ok(exit);
                }
                Err(Failure {
                    exit,
                    message: clean(&error.message),
                })
            }
            None => Err(Failure::new("the provider answered with nothing")),
        }
    })
}

/// JSON for scripts is compact; for eyes it is spread out; what is no JSON is shown as text.
fn shown(result: &[u8], compact: bool) -> String {
    match serde_json::from_slice::<Value>(result) {
        Ok(value) if compact => value.to_string(),
        Ok(value) => format!("{value:#}"),
        Err(_) if compact => json!({ "result_text": String::from_utf8_lossy(result) }).to_string(),
        Err(_) => clean(&String::from_utf8_lossy(result)),
    }
}
