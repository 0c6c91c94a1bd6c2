//! What an agent prints, line by line, under its name.

use owo_colors::{AnsiColors, Style};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use crate::cli::Terminal;

/// A longer line is shown in pieces; nobody's memory grows with it.
const MAX_LINE: u64 = 64 * 1024;

/// One after the other, so that neighbours differ.
const COLORS: [AnsiColors; 6] = [
    AnsiColors::Cyan,
    AnsiColors::Magenta,
    AnsiColors::Green,
    AnsiColors::Yellow,
    AnsiColors::Blue,
    AnsiColors::BrightRed,
];

/// The name in front of each line.
#[derive(Clone, Debug)]
pub(super) struct Prefix {
    name: String,
    color: AnsiColors,
    terminal: Terminal,
}

/// Which of the agent's streams a line came from, and goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Prefix {
    /// The prefix of the agent at `place`, as wide as the longest name.
    pub(super) fn new(name: &str, width: usize, place: usize, terminal: Terminal) -> Self {
        Self {
            name: format!("{name:width$}"),
            color: COLORS[place % COLORS.len()],
            terminal,
        }
    }

    /// Shows a line of the agent.
    pub(super) fn line(&self, stream: Stream, text: &str) {
        let style = Style::new().color(self.color);
        match stream {
            // A reader of ours who has gone is no reason to stop the agent.
            Stream::Stdout => drop(self.terminal.print(&format!(
                "{} | {text}",
                self.terminal.paint(&self.name, style)
            ))),
            Stream::Stderr => self.terminal.note(&format!(
                "{} | {text}",
                self.terminal.paint_stderr(&self.name, style)
            )),
        }
    }

    /// Says something about the agent.
    pub(super) fn note(&self, text: &str) {
        self.line(
            Stream::Stderr,
            &self.terminal.paint_stderr(text, Style::new().dimmed()),
        );
    }
}

/// Shows all lines until the stream ends.
pub(super) async fn show(from: impl AsyncRead + Unpin, stream: Stream, prefix: Prefix) {
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                prefix.line(stream, text.trim_end_matches(['\n', '\r']));
            }
        }
    }
}
