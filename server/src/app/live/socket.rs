//! The same frames over a WebSocket, for proxies that buffer what they carry, and for clients that change their mind about
//! what they want to see.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use loom_trace::api::{LoomProblem, Problem, Query};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Params;
use super::data::{Gap, NotUnderstood};
use super::frame::{Channel, Channels};
use super::hub::{Hub, Read, Reader};
use crate::app::origin;

/// Wishes are short.
const LARGEST_WISH: usize = 4096;

/// What a client may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    subscribe: Vec<String>,
    unsubscribe: Vec<String>,
}

/// The same over a WebSocket
///
/// Its messages are `LiveFrame`; the client says `{"subscribe":["events"]}` and `{"unsubscribe":[…]}`. Nothing but `hello`
/// comes before it has, unless `topics=` says it.
#[utoipa::path(
    get,
    path = "/api/v1/ws",
    operation_id = "openSocket",
    tag = "server",
    params(Params),
    responses((status = 101, description = "A WebSocket."), LoomProblem),
)]
pub(super) async fn socket(
    State(hub): State<Arc<Hub>>,
    Query(params): Query<Params>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, LoomProblem> {
    // A browser lets any page open a WebSocket to anywhere, and says only here whose it is.
    origin::check(&headers)?;
    let channels = Channels::parse(params.topics.as_deref().unwrap_or_default())
        .map_err(|error| Problem::bad_request(format!("topics: {error}")))?;
    let reader = hub.read(params.last_event_id.as_deref()).await;
    let reader = reader.ok_or_else(|| Problem::unavailable("the server is about to end"))?;
    let upgrade = upgrade.max_message_size(LARGEST_WISH);
    Ok(upgrade
        .on_upgrade(move |socket| serve(socket, reader, channels))
        .into_response())
}

async fn serve(mut socket: WebSocket, mut reader: Reader, mut channels: Channels) {
    let (name, data) = reader.opening();
    let id = reader.hub().id(reader.seq);
    if send(&mut socket, Some(&id), name, &data.to_string())
        .await
        .is_none()
    {
        return;
    }
    loop {
        let sent = tokio::select! {
            said = socket.recv() => match said {
                Some(Ok(Message::Text(text))) => match wished(channels, &text) {
                    Ok(wanted) => {
                        channels = wanted;
                        let wanted: Vec<Channel> = channels.iter().collect();
                        send(&mut socket, None, "subscribed", &json!(wanted).to_string()).await
                    }
                    Err(detail) => not_understood(&mut socket, detail).await,
                },
                Some(Ok(Message::Binary(_))) => {
                    not_understood(&mut socket, "say it as text".to_owned()).await
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Some(()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => None,
            },
            read = reader.next() => match read {
                Some(Read::Frame(frame)) if channels.has(frame.channel) => {
                    let id = reader.hub().id(frame.seq);
                    send(&mut socket, Some(&id), frame.channel.name(), &frame.data).await
                }
                Some(Read::Frame(_)) => Some(()),
                Some(Read::Gap(dropped)) => {
                    send(&mut socket, None, "gap", &json!(Gap { dropped }).to_string()).await
                }
                None => {
                    // Said for politeness; who has gone already does not hear it.
                    _ = socket.send(Message::Close(None)).await;
                    None
                }
            },
        };
        if sent.is_none() {
            return;
        }
    }
}

async fn not_understood(socket: &mut WebSocket, detail: String) -> Option<()> {
    let error = NotUnderstood {
        code: "bad_request",
        detail,
    };
    send(socket, None, "error", &json!(error).to_string()).await
}

/// The data is JSON already. `None` when the client has gone.
async fn send(socket: &mut WebSocket, id: Option<&str>, event: &str, data: &str) -> Option<()> {
    let id = id.map_or_else(|| "null".to_owned(), |id| format!("{id:?}"));
    let text = format!(r#"{{"id":{id},"event":"{event}","data":{data}}}"#);
    socket.send(Message::Text(text.into())).await.ok()
}

fn wished(channels: Channels, text: &str) -> Result<Channels, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let wish: Wish = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let all =
        |names: &[String]| Channels::parse(&names.join(",")).map_err(|error| error.to_string());
    Ok(channels
        .and(all(&wish.subscribe)?)
        .without(all(&wish.unsubscribe)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_add_and_take_away() {
        let none = Channels::default();
        let two = wished(none, r#"{"subscribe":["events","stats"]}"#).expect("good");
        let one = wished(two, r#"{"unsubscribe":["events"]}"#).expect("good");
        assert_eq!(one, Channels::parse("stats").expect("good"));
        for (wrong, why) in [
            ("{", "no JSON"),
            (r#"{"subscribe":["x"]}"#, "no channel \"x\""),
            (r#"{"subscribe":"events"}"#, "invalid type"),
            (r#"{"want":["events"]}"#, "unknown field"),
        ] {
            let error = wished(none, wrong).expect_err("bad");
            assert!(error.contains(why), "{error}");
        }
    }
}
