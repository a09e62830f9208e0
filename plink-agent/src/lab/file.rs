//! What a lab file may hold, and where in it an error is.

use std::{fmt, ops::Range, path::Path};

use serde::Deserialize;
use toml::Spanned;

use crate::api::local::nearest;

/// Text of the file with its place.
pub(super) type Text = Spanned<String>;

/// An error in a lab file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabError {
    /// The file, as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for LabError {}

/// A file's name and text, to find places in.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) text: String,
}

impl Source {
    /// An error at this place.
    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>) -> LabError {
        let mut start = span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &self.text[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        LabError { file: self.file.clone(), line, column, message: message.into(), hint: None }
    }

    /// From the parser's error: its place, its sentence, and the nearest of the keys that it expected.
    pub(super) fn syntax(&self, error: &toml::de::Error) -> LabError {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        let mut quoted = message.split('`').skip(1).step_by(2);
        let near = if message.starts_with("unknown ") {
            quoted.next().and_then(|wrong| nearest(wrong, quoted)).map(str::to_owned)
        } else {
            None
        };
        let mut found = self.error(error.span().unwrap_or(0..0), message);
        found.hint = near.map(|near| format!("did you mean `{near}`?"));
        found
    }
}

/// The name of the lab in a file: its `name`, else the file's own. The rest of the file need not be right, so that a
/// lab can be taken down after its file was damaged.
pub fn lab_name(path: &Path, text: &str) -> Result<String, LabError> {
    let source = Source { file: path.display().to_string(), text: text.to_owned() };
    let table: toml::Table = toml::from_str(text).map_err(|error| source.syntax(&error))?;
    let named = table.get("name").and_then(toml::Value::as_str).map(str::to_owned);
    Ok(named.unwrap_or_else(|| stem(path)))
}

pub(super) fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "lab".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

macro_rules! tables {
    ($($(#[doc = $doc:literal])+ $table:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)+ })+) => {
        $($(#[doc = $doc])+
        #[derive(Clone, Debug, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub(super) struct $table { $($(#[$meta])* pub(super) $field: $type,)+ })+
    };
}

tables! {
    /// The whole file.
    LabFile {
        name: Option<Text>,
        #[serde(default)]
        account: Vec<AccountTable>,
        #[serde(default)]
        vpc: Vec<VpcTable>,
        #[serde(default)]
        subnet: Vec<SubnetTable>,
        #[serde(default)]
        instance: Vec<InstanceTable>,
        #[serde(default)]
        load_balancer: Vec<LoadBalancerTable>,
        #[serde(default)]
        target_group: Vec<TargetGroupTable>,
        #[serde(default)]
        listener: Vec<ListenerTable>,
        #[serde(default)]
        service: Vec<ServiceTable>,
        #[serde(default)]
        endpoint: Vec<EndpointTable>,
    }

    /// An account of the agent's configuration, or the one to use where the agent does not have it.
    AccountTable {
        name: Text,
        fallback: Option<Text>,
    }

    /// A VPC.
    VpcTable {
        name: Text,
        account: Text,
        cidr: Text,
    }

    /// A subnet.
    SubnetTable {
        name: Text,
        vpc: Text,
        cidr: Text,
        zone: Text,
    }

    /// An instance.
    InstanceTable {
        name: Text,
        subnet: Text,
        address: Option<Text>,
        #[serde(default)]
        command: Vec<String>,
    }

    /// A load balancer.
    LoadBalancerTable {
        name: Text,
        subnets: Vec<Text>,
        #[serde(default)]
        cross_zone: bool,
    }

    /// A target group; its targets are instances.
    TargetGroupTable {
        name: Text,
        vpc: Text,
        protocol: Text,
        port: Spanned<i64>,
        #[serde(default)]
        targets: Vec<Text>,
    }

    /// A listener.
    ListenerTable {
        load_balancer: Text,
        protocol: Text,
        port: Spanned<i64>,
        target_group: Text,
    }

    /// An endpoint service.
    ServiceTable {
        name: Text,
        load_balancers: Vec<Text>,
        acceptance_required: bool,
        #[serde(default)]
        allowed_principals: Vec<Text>,
    }

    /// An endpoint. `accept` accepts it at once, as the provider would.
    EndpointTable {
        name: Text,
        vpc: Text,
        service: Text,
        subnets: Vec<Text>,
        #[serde(default)]
        addresses: Vec<Text>,
        #[serde(default)]
        accept: bool,
    }
}

impl ListenerTable {
    /// The name that people can use for it.
    pub(super) fn label(&self) -> String {
        let protocol = self.protocol.get_ref().to_lowercase();
        format!("{}:{}/{protocol}", self.load_balancer.get_ref(), self.port.get_ref())
    }
}
