//! The other side of the socket, and what takes its place when there is no agent.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use super::protocol::{Answer, Envelope, Response, WireError};

/// Why a request got no answer.
#[derive(Debug)]
pub enum CallError {
    /// Nobody listens at the socket.
    NoAgent {
        /// The socket.
        socket: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The agent refused.
    Refused(WireError),
    /// The connection broke, or its other side spoke something else.
    Broken(String),
}

impl CallError {
    /// Whether there is an agent, but not for this user.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::NoAgent { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAgent { socket, .. } if self.is_denied() => {
                write!(f, "you may not use the agent's socket {}", socket.display())
            }
            Self::NoAgent { socket, .. } => write!(f, "no agent listens at {}", socket.display()),
            Self::Refused(error) => error.fmt(f),
            Self::Broken(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for CallError {}

/// Where requests can be sent.
pub trait Transport {
    /// Sends a request and waits for its answer.
    fn call(&mut self, envelope: Envelope) -> Result<Answer, CallError>;
}

/// A connection to a running agent.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the agent of this run folder.
    pub fn connect(run_dir: &Path) -> Result<Self, CallError> {
        let socket = run_dir.join("plink.sock");
        match UnixStream::connect(&socket) {
            Ok(stream) => Ok(Self { stream: BufReader::new(stream) }),
            Err(cause) => Err(CallError::NoAgent { socket, cause }),
        }
    }

    fn exchange(&mut self, envelope: &Envelope) -> io::Result<Response> {
        let mut line = serde_json::to_vec(envelope)?;
        line.push(b'\n');
        // A refusal may arrive, and the socket close, before the whole request is written: the answer counts.
        let written = self.stream.get_mut().write_all(&line);
        let mut answer = String::new();
        if self.stream.read_line(&mut answer)? == 0 {
            written?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Transport for Client {
    fn call(&mut self, envelope: Envelope) -> Result<Answer, CallError> {
        match self.exchange(&envelope) {
            Ok(Response::Ok(answer)) => Ok(answer),
            Ok(Response::Error(error)) => Err(CallError::Refused(error)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(CallError::Broken("the agent closed the connection before it answered".to_owned()))
            }
            Err(error) => Err(CallError::Broken(format!("the agent's answer could not be read: {error}"))),
        }
    }
}
