//! How a command ended.

use std::process::ExitCode;

use crate::app::StartError;
use crate::client::ClientError;
use crate::config::ConfigError;

/// The exit codes. Scripts rely on them: a number never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// It failed.
    Failure = 1,
    /// Wrong usage or settings; clap uses the same number.
    Usage = 2,
    /// The server cannot be reached.
    Unreachable = 3,
    /// What was asked for does not exist.
    NotFound = 4,
    /// A check found something.
    CheckFailed = 5,
}

/// Why a command failed, for a person.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong, why, and what to do next.
    pub message: String,
}

impl Failure {
    /// A failure without a more telling code.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failure,
            message: message.into(),
        }
    }

    /// The caller wrote something that cannot be meant.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            message: message.into(),
        }
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::NotFound,
            message: message.into(),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match error {
            ClientError::Unreachable { .. } => Exit::Unreachable,
            ClientError::NotFound { .. } => Exit::NotFound,
            ClientError::Address { .. } => Exit::Usage,
            ClientError::Refused { .. } | ClientError::Protocol { .. } => Exit::Failure,
        };
        Self {
            exit,
            message: error.to_string(),
        }
    }
}
