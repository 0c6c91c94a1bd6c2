//! The shared secret of a server that other machines can reach.

use std::fmt;
use std::path::Path;

use super::ConfigError;

/// A secret: never printed, compared in constant time.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token must survive a header: visible ASCII, no spaces, at least 16 characters.
    ///
    /// # Errors
    /// What is wrong with it; the text does not hold the token.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if text.len() < 16 {
            return Err("a token has at least 16 characters: `openssl rand -hex 16` makes one");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token consists of visible ASCII characters without spaces");
        }
        Ok(Self(text.to_owned()))
    }

    /// Reads the first line of a file.
    ///
    /// # Errors
    /// The file is not readable, or holds no token.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let refuse = |detail: String| ConfigError::Token {
            path: path.to_owned(),
            detail,
        };
        let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        Self::new(text.lines().next().unwrap_or_default().trim())
            .map_err(|detail| refuse(detail.to_owned()))
    }

    /// The secret itself, for whoever has to show it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `shown` is this token; takes the same time wherever they differ.
    pub fn matches(&self, shown: &[u8]) -> bool {
        is_same(self.0.as_bytes(), shown)
    }
}

/// Whether two secrets are the same; it takes as long, wherever the difference is.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    difference == 0 && one.len() == other.len()
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_compared_whole_and_never_printed() {
        let token = Token::new("0123456789abcdef").expect("good");
        assert!(token.matches(b"0123456789abcdef"));
        assert!(!token.matches(b"0123456789abcdeX"));
        assert!(!token.matches(b"0123456789abcde"));
        assert!(!token.matches(b"0123456789abcdef0"));
        assert!(!token.matches(b""));
        assert!(!format!("{token:?}").contains("0123"));
    }

    #[test]
    fn a_weak_or_unusable_token_is_refused() {
        assert!(Token::new("short").is_err());
        assert!(Token::new("with spaces in between").is_err());
        assert!(Token::new("0123456789abcde\u{e9}").is_err());
    }

    #[test]
    fn the_first_line_of_a_file_counts() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "0123456789abcdef\nrest\n").expect("written");
        assert!(
            Token::read(file.path())
                .expect("good")
                .matches(b"0123456789abcdef")
        );
        std::fs::write(file.path(), "").expect("written");
        assert!(matches!(
            Token::read(file.path()),
            Err(ConfigError::Token { .. })
        ));
    }
}
