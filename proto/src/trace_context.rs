//! W3C Trace Context, level 2, as a value of 25 bytes that is copied and never shared.
//!
//! Parsing follows the [`traceparent`] section to the letter: lower-case hex only, version `ff` is invalid,
//! version `00` has exactly 55 characters, a higher version is read as `00` when a `-` follows the flags, and an
//! all-zero trace or parent id makes the whole header invalid.
//!
//! [`traceparent`]: https://www.w3.org/TR/trace-context-2/#traceparent-header

use std::fmt;
use std::str::FromStr;

/// Length of a version `00` traceparent in bytes.
pub const TRACEPARENT_LEN: usize = 55;
/// A longer traceparent of a future version is dropped: the text sets no bound, a bus must.
pub const TRACEPARENT_MAX_LEN: usize = 512;
/// The text asks to propagate at least this much of a tracestate; a longer one is dropped.
pub const TRACESTATE_MAX_LEN: usize = 512;
/// W3C: "there can be a maximum of 32 list-members".
pub const TRACESTATE_MAX_MEMBERS: usize = 32;
/// W3C Baggage: 8192 bytes in all must be propagated; more is dropped.
pub const BAGGAGE_MAX_LEN: usize = 8192;

/// 16 bytes, not all zero when [valid](TraceId::is_valid); printed as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TraceId(pub [u8; 16]);

/// 8 bytes, not all zero when [valid](SpanId::is_valid); printed as 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SpanId(pub [u8; 8]);

/// The flags byte: bit 0 is `sampled`, bit 1 is `random`; the others are sent as zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TraceFlags(pub u8);

/// Where a span stands: what a parent hands to its child.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct TraceContext {
    /// The trace that the span belongs to.
    pub trace_id: TraceId,
    /// The span itself: the parent of whatever is started under this context.
    pub span_id: SpanId,
    /// Sampling decision and randomness of the trace id.
    pub flags: TraceFlags,
}

/// Why a traceparent was dropped. The event that carried it goes on and starts a new trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidContext {
    /// Not the length that its version demands, or beyond [`TRACEPARENT_MAX_LEN`].
    #[error("traceparent has the wrong length")]
    Length,
    /// A dash is missing, or something follows that its version does not allow.
    #[error("traceparent has the wrong form")]
    Form,
    /// A digit that is not lower-case hex.
    #[error("traceparent holds a character that is not lower-case hex")]
    Hex,
    /// Version `ff`.
    #[error("traceparent has the forbidden version ff")]
    Version,
    /// The trace id is all zero.
    #[error("traceparent has an all-zero trace id")]
    ZeroTraceId,
    /// The parent id is all zero.
    #[error("traceparent has an all-zero parent id")]
    ZeroSpanId,
}

impl InvalidContext {
    /// Every reason, for counters.
    pub const ALL: [Self; 6] = [
        Self::Length,
        Self::Form,
        Self::Hex,
        Self::Version,
        Self::ZeroTraceId,
        Self::ZeroSpanId,
    ];

    /// The value of the label `reason` in counters.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Form => "form",
            Self::Hex => "hex",
            Self::Version => "version",
            Self::ZeroTraceId => "zero_trace_id",
            Self::ZeroSpanId => "zero_span_id",
        }
    }
}

// ---- TraceContext ----

impl TraceContext {
    /// Reads a `traceparent`.
    ///
    /// # Errors
    /// The reason why it is invalid; W3C demands that it is then ignored, `tracestate` with it.
    pub fn parse(traceparent: &[u8]) -> Result<Self, InvalidContext> {
        if traceparent.len() < TRACEPARENT_LEN || traceparent.len() > TRACEPARENT_MAX_LEN {
            return Err(InvalidContext::Length);
        }
        if traceparent[2] != b'-' || traceparent[35] != b'-' || traceparent[52] != b'-' {
            return Err(InvalidContext::Form);
        }
        let [version] = unhex(&traceparent[..2])?;
        match (version, traceparent.len()) {
            (0xff, _) => return Err(InvalidContext::Version),
            (0, TRACEPARENT_LEN) => {}
            (0, _) => return Err(InvalidContext::Length),
            (_, TRACEPARENT_LEN) => {}
            (_, _) if traceparent[TRACEPARENT_LEN] == b'-' => {}
            _ => return Err(InvalidContext::Form),
        }
        let trace_id = TraceId(unhex(&traceparent[3..35])?);
        let span_id = SpanId(unhex(&traceparent[36..52])?);
        let [flags] = unhex(&traceparent[53..55])?;
        if !trace_id.is_valid() {
            return Err(InvalidContext::ZeroTraceId);
        }
        if !span_id.is_valid() {
            return Err(InvalidContext::ZeroSpanId);
        }
        Ok(Self {
            trace_id,
            span_id,
            flags: TraceFlags(flags & TraceFlags::KNOWN),
        })
    }

    /// Writes a version `00` traceparent without allocating.
    pub fn to_traceparent(&self) -> [u8; TRACEPARENT_LEN] {
        let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex(&self.trace_id.0, &mut out[3..35]);
        hex(&self.span_id.0, &mut out[36..52]);
        hex(&[self.flags.0], &mut out[53..55]);
        out
    }

    /// True when both ids are valid. The default value is not: it stands for "no context".
    pub fn is_valid(&self) -> bool {
        self.trace_id.is_valid() && self.span_id.is_valid()
    }

    /// True when the trace is recorded.
    pub const fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }

    /// The context of a child span: the same trace and flags under another span id.
    #[must_use]
    pub const fn child(self, span_id: SpanId) -> Self {
        Self { span_id, ..self }
    }
}

impl FromStr for TraceContext {
    type Err = InvalidContext;

    fn from_str(traceparent: &str) -> Result<Self, Self::Err> {
        Self::parse(traceparent.as_bytes())
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ascii(&self.to_traceparent()))
    }
}

/// Whether a `tracestate` may be passed on: within the limits of size and members, visible ASCII and spaces only.
/// What is not is dropped; it never makes the traceparent invalid.
pub fn tracestate_is_valid(tracestate: &[u8]) -> bool {
    tracestate.len() <= TRACESTATE_MAX_LEN
        && tracestate.iter().all(|b| matches!(b, b' '..=b'~' | b'\t'))
        && tracestate.split(|b| *b == b',').count() <= TRACESTATE_MAX_MEMBERS
        && tracestate
            .split(|b| *b == b',')
            .map(<[u8]>::trim_ascii)
            .all(|member| {
                member.is_empty()
                    || member
                        .iter()
                        .position(|b| *b == b'=')
                        .is_some_and(|at| at > 0)
            })
}

/// Whether a `baggage` may be passed on: within the limit of size, visible ASCII and spaces only.
pub fn baggage_is_valid(baggage: &[u8]) -> bool {
    baggage.len() <= BAGGAGE_MAX_LEN && baggage.iter().all(|b| matches!(b, b' '..=b'~' | b'\t'))
}

// ---- TraceFlags ----

impl TraceFlags {
    /// Bit 0.
    pub const SAMPLED: Self = Self(0x01);
    /// Bit 1: the last 7 bytes of the trace id are random.
    pub const RANDOM: Self = Self(0x02);
    const KNOWN: u8 = 0x03;

    /// True when the trace is recorded.
    pub const fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED.0 != 0
    }

    /// The same flags with another sampling decision; the random bit is passed on unchanged, as W3C demands.
    #[must_use]
    pub const fn with_sampled(self, sampled: bool) -> Self {
        Self((self.0 & !Self::SAMPLED.0) | sampled as u8)
    }
}

impl fmt::Debug for TraceFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

// ---- ids ----

macro_rules! id {
    ($id:ident, $bytes:literal) => {
        impl $id {
            /// False for the all-zero id, which W3C forbids.
            pub fn is_valid(self) -> bool {
                self.0 != [0; $bytes]
            }

            /// Takes the raw bytes of a protobuf field.
            ///
            /// Returns `None` for a wrong length and for the all-zero id.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                Some(Self(bytes.try_into().ok()?)).filter(|id| id.is_valid())
            }

            /// Reads lower-case hex.
            ///
            /// # Errors
            /// A wrong length, or a character that is not lower-case hex.
            pub fn from_hex(text: &str) -> Result<Self, InvalidContext> {
                if text.len() != 2 * $bytes {
                    return Err(InvalidContext::Length);
                }
                unhex(text.as_bytes()).map(Self)
            }

            /// Writes lower-case hex without allocating.
            pub fn to_hex(self) -> [u8; 2 * $bytes] {
                let mut out = [0; 2 * $bytes];
                hex(&self.0, &mut out);
                out
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ascii(&self.to_hex()))
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(TraceId, 16);
id!(SpanId, 8);

// ---- hex ----

const DIGITS: &[u8; 16] = b"0123456789abcdef";
const NO_DIGIT: u8 = 0xff;
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// Writes `bytes` as hex into `out`, which is twice as long.
fn hex(bytes: &[u8], out: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0x0f)];
    }
}

/// Reads `text`, which is twice as long as the result.
fn unhex<const N: usize>(text: &[u8]) -> Result<[u8; N], InvalidContext> {
    let mut out = [0; N];
    let mut seen = 0;
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | (low & 0x0f);
    }
    if seen & 0xf0 == 0 {
        Ok(out)
    } else {
        Err(InvalidContext::Hex)
    }
}

fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("hex digits and dashes are ASCII")
}
