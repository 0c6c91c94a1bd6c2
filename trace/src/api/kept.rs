//! What a stream still has of an event. The store knows nothing of it: whoever knows the bus lends it, see
//! [`Extension`](super::Extension).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

/// Bytes of a payload that are told.
const MAX_PAYLOAD: usize = 64 << 10;

/// An event as its stream keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Kept {
    /// The stream.
    pub stream: String,
    /// Its place in the stream.
    pub offset: u64,
    /// The payload, where it is text.
    pub payload_text: Option<String>,
    /// The payload, where it is not.
    pub payload_base64: Option<String>,
    /// Only the first 64 KiB of the payload are told.
    pub truncated: bool,
    /// What its producer has written on it.
    pub metadata: BTreeMap<String, String>,
}

impl Kept {
    /// An event at a place of a stream.
    pub fn new(
        stream: &str,
        offset: u64,
        payload: &[u8],
        metadata: BTreeMap<String, String>,
    ) -> Self {
        let told = &payload[..payload.len().min(MAX_PAYLOAD)];
        // A character that is cut through makes no text of what is none, and nothing else of what is.
        let text = match std::str::from_utf8(told) {
            Ok(text) => Some(text),
            Err(error) if error.error_len().is_none() && told.len() < payload.len() => {
                std::str::from_utf8(&told[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        Self {
            stream: stream.to_owned(),
            offset,
            payload_text: text.map(str::to_owned),
            payload_base64: text.is_none().then(|| STANDARD.encode(told)),
            truncated: told.len() < payload.len(),
            metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(payload: &[u8]) -> Kept {
        Kept::new("orders", 7, payload, BTreeMap::new())
    }

    #[test]
    fn a_payload_is_text_or_bytes() {
        let text = kept("{\"ä\": 1}".as_bytes());
        assert_eq!(text.payload_text.as_deref(), Some("{\"ä\": 1}"));
        assert_eq!((text.payload_base64, text.truncated), (None, false));
        let bytes = kept(&[0xff, 0x00]);
        assert_eq!(bytes.payload_base64.as_deref(), Some("/wA="));
        assert_eq!((bytes.payload_text, bytes.truncated), (None, false));
        assert_eq!(kept(b"").payload_text.as_deref(), Some(""));
        // Ends within a character, and nothing was cut off: it is no text.
        assert_eq!(kept(&"ä".as_bytes()[..1]).payload_text, None);
    }

    #[test]
    fn a_long_payload_is_cut() {
        let whole = kept(&vec![b'a'; MAX_PAYLOAD]);
        assert!(!whole.truncated);
        let mut long = vec![b'a'; MAX_PAYLOAD - 1];
        long.extend("äb".as_bytes());
        let cut = kept(&long);
        // Nothing is left of the character on the edge.
        let told = cut.payload_text.expect("a text").len();
        assert_eq!((told, cut.truncated), (MAX_PAYLOAD - 1, true));
        let binary = kept(&vec![0xff; MAX_PAYLOAD + 1]);
        let told = STANDARD.decode(binary.payload_base64.expect("bytes"));
        assert_eq!(told.map(|told| told.len()), Ok(MAX_PAYLOAD));
        assert!(binary.truncated);
    }
}
