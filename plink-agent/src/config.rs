//! The agent's configuration: a TOML file whose keys all have defaults, and the command line's flags on top of it.
//!
//! ```toml
//! name = "plink"                        # names the hub, the pins and the namespaces; another for a second agent
//! region = "us-east-1"
//! zones = ["us-east-1a", "us-east-1b", "us-east-1c"]
//! socket-group = "plink"                # may use the agent's socket beside root
//!
//! [datapath]
//! max-flows = 1048576
//! max-frontends = 16384
//! mtu = 8500
//!
//! [[account]]
//! id = "111122223333"
//! name = "provider"
//! access_key_id = "AKIAPROVIDER0000001"
//! secret_access_key = "secret"
//! ```

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use plink_common::abi::MAX_FRONTENDS;
use serde::Deserialize;

use crate::model::{Account, AccountId, InstanceId, Zone};

/// Maglev tables and listener sets have eight slots an object, one of them for all zones together.
pub const MAX_ZONES: usize = 7;

/// The agent's configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Names the hub namespace, the pins and, unless it is `plink`, the instances' namespaces.
    pub name: String,
    /// Where the store lies.
    pub state_dir: PathBuf,
    /// Where the socket, the instances' logs and the records of this boot lie.
    pub run_dir: PathBuf,
    /// Where the AWS-compatible API listens.
    pub listen: SocketAddr,
    /// The region.
    pub region: String,
    /// The region's availability zones, at most [`MAX_ZONES`]. Their order numbers them in the data path.
    pub zones: Vec<Zone>,
    /// The accounts.
    pub accounts: Vec<Account>,
    /// The group that may use the local socket, beside root and the agent's own user.
    pub socket_group: Option<String>,
    /// The data path's sizes.
    pub datapath: DatapathConfig,
    /// The file that it was read from.
    pub file: Option<PathBuf>,
}

/// The data path's sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DatapathConfig {
    /// Flows at once. The table is allocated in advance: about 270 bytes a flow.
    pub max_flows: u32,
    /// Endpoints and load balancers together.
    pub max_frontends: u32,
    /// MTU of every interface.
    pub mtu: u32,
}

impl Default for DatapathConfig {
    fn default() -> Self {
        Self { max_flows: 1 << 20, max_frontends: 16_384, mtu: 8500 }
    }
}

/// The file's form: everything may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    name: String,
    state_dir: PathBuf,
    run_dir: PathBuf,
    listen: SocketAddr,
    region: String,
    zones: Option<Vec<Zone>>,
    account: Vec<Account>,
    socket_group: Option<String>,
    datapath: DatapathConfig,
}

impl Default for File {
    fn default() -> Self {
        Self {
            name: "plink".to_owned(),
            state_dir: "/var/lib/plink".into(),
            run_dir: "/run/plink".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 7546)),
            region: "us-east-1".to_owned(),
            zones: None,
            account: Vec::new(),
            socket_group: None,
            datapath: DatapathConfig::default(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        // The defaults are fixed and a test parses them.
        Self::parse("").unwrap_or_else(|error| unreachable!("the built-in configuration is valid: {error}"))
    }
}

impl Config {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
        let config = Self::parse(&text).with_context(|| format!("configuration file {}", path.display()))?;
        Ok(Self { file: Some(std::path::absolute(path)?), ..config })
    }

    /// Reads a file's text. What it leaves out has its default.
    pub fn parse(text: &str) -> Result<Self> {
        let File { name, state_dir, run_dir, listen, region, zones, account, socket_group, datapath } =
            toml::from_str(text)?;
        let zones = match zones {
            Some(zones) => zones,
            None => ["a", "b", "c"]
                .iter()
                .map(|letter| format!("{region}{letter}").parse())
                .collect::<Result<_, _>>()
                .context("region")?,
        };
        let accounts = if account.is_empty() { default_accounts()? } else { account };
        let config =
            Self { name, state_dir, run_dir, listen, region, zones, accounts, socket_group, datapath, file: None };
        config.check()?;
        Ok(config)
    }

    /// Refuses what the agent could not work with. To be called again after flags have changed something.
    pub fn check(&self) -> Result<()> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        ensure!(
            (1..=32).contains(&self.name.len()) && self.name.bytes().all(allowed),
            "name: {:?} has to be 1 to 32 characters of a-z, 0-9, - and _",
            self.name
        );
        ensure!(
            (1..=MAX_ZONES).contains(&self.zones.len()),
            "zones: {} given, 1 to {MAX_ZONES} are allowed",
            self.zones.len()
        );
        for (index, zone) in self.zones.iter().enumerate() {
            ensure!(!self.zones[..index].contains(zone), "zones: {zone} is given twice");
        }
        for (index, account) in self.accounts.iter().enumerate() {
            let earlier = &self.accounts[..index];
            ensure!(earlier.iter().all(|other| other.id != account.id), "account: {} is given twice", account.id);
            ensure!(earlier.iter().all(|other| other.name != account.name), "account: {} is given twice", account.name);
            ensure!(
                earlier.iter().all(|other| other.access_key_id != account.access_key_id),
                "account: the access key {} belongs to two accounts",
                account.access_key_id
            );
        }
        let DatapathConfig { max_flows, max_frontends, mtu } = self.datapath;
        ensure!((16..=1 << 24).contains(&max_flows), "datapath.max-flows: {max_flows} is not within 16 and 16777216");
        ensure!(
            (2..=MAX_FRONTENDS).contains(&max_frontends),
            "datapath.max-frontends: {max_frontends} is not within 2 and {MAX_FRONTENDS}"
        );
        if !(576..=9000).contains(&mtu) {
            bail!("datapath.mtu: {mtu} is not within 576 and 9000");
        }
        Ok(())
    }

    /// The IDs of the accounts.
    #[must_use]
    pub fn account_ids(&self) -> Vec<AccountId> {
        self.accounts.iter().map(|account| account.id).collect()
    }

    /// The hub's namespace.
    #[must_use]
    pub fn hub(&self) -> String {
        format!("{}-hub", self.name)
    }

    /// The namespace of an instance whose namespace the agent makes.
    #[must_use]
    pub fn instance_namespace(&self, id: InstanceId) -> String {
        if self.name == "plink" { id.to_string() } else { format!("{}-{id}", self.name) }
    }

    /// The local API's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run_dir.join("plink.sock")
    }
}

/// The accounts of a configuration that names none. Their secrets are public, so the API that takes them listens on
/// loopback addresses only.
fn default_accounts() -> Result<Vec<Account>> {
    [("111122223333", "provider"), ("444455556666", "consumer")]
        .into_iter()
        .map(|(id, name)| {
            Ok(Account {
                id: id.parse()?,
                name: name.to_owned(),
                access_key_id: format!("AKIA{}0000001", name.to_uppercase()),
                secret_access_key: "secret".to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        format!("{:#}", Config::parse(text).unwrap_err())
    }

    #[test]
    fn an_empty_file_is_the_default() {
        let config = Config::parse("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.hub(), "plink-hub");
        assert_eq!(config.zones[1].as_str(), "us-east-1b");
        assert_eq!(config.accounts[1].access_key_id, "AKIACONSUMER0000001");
        let id: InstanceId = "i-0123456789abcdef0".parse().unwrap();
        assert_eq!(config.instance_namespace(id), "i-0123456789abcdef0");
        let other = Config::parse("name = \"t1\"").unwrap();
        assert_eq!(other.instance_namespace(id), "t1-i-0123456789abcdef0");
    }

    #[test]
    fn a_refusal_names_the_key() {
        assert!(refusal("nmae = \"x\"").contains("unknown field `nmae`"));
        assert!(refusal("[datapath]\nmtu = 100").contains("datapath.mtu: 100 is not within 576 and 9000"));
        assert!(refusal("zones = []").contains("zones: 0 given, 1 to 7 are allowed"));
        assert!(refusal("zones = [\"a\", \"a\"]").contains("zones: a is given twice"));
        assert!(refusal("name = \"a/b\"").contains("name: \"a/b\""));
        assert!(refusal("[datapath]\nmax-flows = 1").contains("datapath.max-flows"));
        assert!(refusal("listen = \"x\"").contains("listen"));
    }

    #[test]
    fn accounts_replace_the_defaults() {
        let account =
            "[[account]]\nid = \"777788889999\"\nname = \"x\"\naccess_key_id = \"k\"\nsecret_access_key = \"s\"\n";
        assert_eq!(Config::parse(account).unwrap().accounts.len(), 1);
        assert!(refusal(&account.repeat(2)).contains("777788889999 is given twice"));
    }
}
