//! What a phase is called.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use loom_proto::semconv::attribute;
use parking_lot::Mutex;

/// Letters of a name; a longer one is cut.
const LONGEST: usize = 64;
/// Stands for what cannot be written, and for what is too much.
pub(super) const OTHER: &str = "other";

/// A name, with what follows from it.
#[derive(Debug)]
pub(super) struct Name {
    /// In lower case; all but letters of English, digits and `_` is `_`.
    pub(super) text: Arc<str>,
    /// Attribute of the handler's span: milliseconds in all phases of this name.
    pub(super) key: Arc<str>,
}

impl Name {
    /// Makes it of what somebody has called a phase. Remembered: a handler calls its phases the same each time.
    pub(super) fn of(called: &str) -> Arc<Self> {
        /// Names that are remembered; programs that make them up get them made anew.
        const MOST: usize = 256;
        static KNOWN: LazyLock<Mutex<HashMap<Box<str>, Arc<Name>>>> = LazyLock::new(Mutex::default);
        let mut known = KNOWN.lock();
        if let Some(name) = known.get(called) {
            return Arc::clone(name);
        }
        let name = Arc::new(Self::new(called));
        if known.len() < MOST {
            known.insert(called.into(), Arc::clone(&name));
        }
        name
    }

    fn new(called: &str) -> Self {
        let written = |c: char| match c {
            'a'..='z' | '0'..='9' | '_' => c,
            _ => '_',
        };
        let lower = called.chars().flat_map(char::to_lowercase);
        let mut text: String = lower.map(written).take(LONGEST).collect();
        if text.is_empty() {
            OTHER.clone_into(&mut text);
        }
        Self {
            key: format!("{}{text}_ms", attribute::PHASE_MS_PREFIX).into(),
            text: text.into(),
        }
    }
}
