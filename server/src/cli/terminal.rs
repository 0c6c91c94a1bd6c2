//! What a person sees: lines on stdout and stderr, colours where they are wanted.
//!
//! The only file that prints. Results go to stdout, everything said about them to stderr. A reader who has gone away
//! (`loom traces | head -1`) is no error.

use std::io::{self, IsTerminal, Write};

use owo_colors::{OwoColorize, Style};

use crate::env::{self, Environment};

/// Where a command speaks.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Whether stdout shows colours.
    pub color: bool,
    /// Whether stderr shows colours.
    pub color_stderr: bool,
    /// Columns of the terminal, or a good guess.
    pub width: usize,
}

/// Columns where there is no terminal: what a log or a pull request shows without wrapping.
const DEFAULT_WIDTH: usize = 120;

impl Terminal {
    /// What this process is attached to.
    pub fn detect(environment: &dyn Environment) -> Self {
        let wanted = environment.get(env::NO_COLOR).is_none()
            && environment.get("TERM").as_deref() != Some("dumb");
        Self {
            color: wanted && io::stdout().is_terminal(),
            color_stderr: wanted && io::stderr().is_terminal(),
            width: width().unwrap_or(DEFAULT_WIDTH),
        }
    }

    /// A result, with its line end.
    ///
    /// # Errors
    /// The reader is there and cannot be written to.
    pub fn print(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let written = writeln!(out, "{text}").and_then(|()| out.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Something said about a result. Nobody listening is no error.
    pub fn note(&self, text: &str) {
        drop(writeln!(io::stderr().lock(), "{text}"));
    }

    /// Why a command failed.
    pub fn error(&self, text: &str) {
        let head = self.paint_stderr("error:", Style::new().red().bold());
        self.note(&format!("{head} {text}"));
    }

    /// `text` in `style`, where stdout shows colours.
    pub fn paint(&self, text: &str, style: Style) -> String {
        if self.color {
            text.style(style).to_string()
        } else {
            text.to_owned()
        }
    }

    /// `text` in `style`, where stderr shows colours.
    pub fn paint_stderr(&self, text: &str, style: Style) -> String {
        if self.color_stderr {
            text.style(style).to_string()
        } else {
            text.to_owned()
        }
    }

    /// Rows under their headings, each column as wide as its widest cell.
    pub fn table<const N: usize>(&self, headings: [&str; N], rows: &[[String; N]]) -> String {
        let mut widths = headings.map(|heading| heading.chars().count());
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: [&str; N]| {
            let padded: Vec<_> = cells
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            padded.join("  ").trim_end().to_owned()
        };
        let mut lines = vec![self.paint(&line(headings), Style::new().bold())];
        lines.extend(
            rows.iter()
                .map(|row| line(row.each_ref().map(String::as_str))),
        );
        lines.join("\n")
    }
}

fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns >= 40)
}

/// Text from elsewhere, made safe for a terminal: control characters would move the cursor or change the colours.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Terminal = Terminal {
        color: false,
        color_stderr: false,
        width: 80,
    };

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let rows = [
            ["a".to_owned(), "long cell".to_owned()],
            ["bbbbbb".to_owned(), "x".to_owned()],
        ];
        assert_eq!(
            PLAIN.table(["id", "what"], &rows),
            "id      what\na       long cell\nbbbbbb  x"
        );
    }

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        assert_eq!(PLAIN.paint("x", Style::new().red()), "x");
        let colored = Terminal {
            color: true,
            ..PLAIN
        };
        assert!(colored.paint("x", Style::new().red()).starts_with('\u{1b}'));
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\nc"), "a\u{fffd}[31mb\u{fffd}c");
    }
}
