//! The one error type of the control core.

use serde::{Deserialize, Serialize};

/// What kind of error it is. The spelling is AWS's where AWS has a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ErrorCode {
    /// A value that is not allowed there.
    InvalidParameterValue,
    /// A value that is missing.
    MissingParameter,
    /// An ID or a name of which nothing exists, or nothing that the caller may see.
    NotFound,
    /// A name that fits more than one object.
    Ambiguous,
    /// A name or an address that is taken.
    AlreadyExists,
    /// An object that is still used by another.
    DependencyViolation,
    /// A service with live endpoint connections.
    ExistingVpcEndpointConnections,
    /// An endpoint service that does not exist or that the caller may not use.
    InvalidServiceName,
    /// A transition that the object's state does not allow.
    InvalidState,
    /// An object of another account.
    UnauthorizedOperation,
    /// A limit that was reached.
    LimitExceeded,
    /// The host failed to do what was asked: the store, the kernel.
    Internal,
}

/// Why a command was refused; the state is untouched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ControlError {
    /// The kind.
    pub code: ErrorCode,
    /// The field of the request that was wrong, for example `cidr`.
    pub field: Option<String>,
    /// What was wrong and what is allowed, as one sentence without a full stop.
    pub message: String,
    /// What to do next, if that is not plain from the message.
    pub hint: Option<String>,
}

impl ControlError {
    /// An error that names no field.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, field: None, message: message.into(), hint: None }
    }

    /// An error about one field.
    pub fn field(code: ErrorCode, field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(code, message) }
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}
