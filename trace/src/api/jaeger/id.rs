//! Ids of traces as people and programs give them to Jaeger.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::model::{IdError, TraceId};

/// With or without padding.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const ALPHABETS: [GeneralPurpose; 2] = [
    GeneralPurpose::new(&alphabet::STANDARD, LENIENT),
    GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT),
];
/// Digits of 16 bytes in base64, padding included.
const MAX_BASE64: usize = 24;

/// 1 to 32 hex digits in any case, padded on the left; or base64 of 8 or 16 bytes, as protobuf's JSON writes bytes.
pub(super) fn trace_id(text: &str) -> Result<TraceId, String> {
    let error = match text.parse() {
        Ok(id) => return Ok(id),
        Err(error) => error,
    };
    let from_base64 = |engine: &GeneralPurpose| {
        let mut bytes = engine.decode(text).ok()?;
        if bytes.len() == 8 {
            bytes.splice(0..0, [0; 8]);
        }
        TraceId::from_bytes(&bytes)
    };
    let is_short = text.len() <= MAX_BASE64 && !matches!(error, IdError::Zero);
    is_short
        .then(|| ALPHABETS.iter().find_map(from_base64))
        .flatten()
        .ok_or_else(|| format!("trace id {text:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_of_any_length_and_base64() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        for text in [
            id,
            "0AF7651916CD43DD8448EB211C80319C",
            "CvdlGRbNQ92ESOshHIAxnA==",
            "CvdlGRbNQ92ESOshHIAxnA",
        ] {
            assert_eq!(trace_id(text).map(|id| id.to_string()), Ok(id.to_owned()));
        }
        for (text, id) in [
            ("abc", "00000000000000000000000000000abc"),
            ("_-3K_u3K_u0", "0000000000000000ffedcafeedcafeed"),
            ("/+3K/u3K/u0=", "0000000000000000ffedcafeedcafeed"),
        ] {
            assert_eq!(trace_id(text).map(|id| id.to_string()), Ok(id.to_owned()));
        }
        for bad in [
            "",
            "0",
            "xyz",
            "00000000000000000000000000000000",
            "111111111111111111111111111111111",
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "CvdlGRbNQ92ESOshHIAxnACv",
            "ä",
        ] {
            assert!(trace_id(bad).is_err(), "{bad}");
        }
    }
}
