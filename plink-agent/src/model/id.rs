//! Identifiers: small, comparable, checked when they are read, and written as AWS writes them.
//!
//! An ID that parsed is well formed, not more: whether its object exists is the state's to say.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Text that is not an identifier of the kind that was asked for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is not {what}: expected {expected}")]
pub struct IdError {
    text: String,
    what: &'static str,
    expected: &'static str,
}

impl IdError {
    fn new(text: &str, what: &'static str, expected: &'static str) -> Self {
        // What comes from outside may be long; an error stays readable.
        let text = if text.chars().count() > 128 {
            text.chars().take(125).chain("...".chars()).collect()
        } else {
            text.into()
        };
        Self { text, what, expected }
    }
}

/// Text form, both ways, through `Display` and `FromStr`.
macro_rules! text_form {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

/// Bits of seventeen hexadecimal digits.
const ID_BITS: u32 = 68;

/// An ID of a prefix and seventeen hexadecimal digits.
macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// What its text begins with.
            pub const PREFIX: &'static str = $prefix;

            /// From the low 68 bits of a number.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits & ((1 << ID_BITS) - 1))
            }

            /// A new one. Random rather than counted, so that two hosts make different ones.
            pub fn random(random: &mut dyn FnMut() -> u64) -> Self {
                Self::from_bits(u128::from(random()) << 64 | u128::from(random()))
            }

            /// The number that the seventeen digits are.
            #[must_use]
            pub const fn bits(self) -> u128 {
                self.0
            }

            /// The seventeen digits without the prefix.
            #[must_use]
            pub fn digits(self) -> String {
                format!("{:017x}", self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&format!(concat!($prefix, "{:017x}"), self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = || IdError::new(text, $what, concat!($prefix, " and 17 hexadecimal digits (0-9, a-f)"));
                let digits = text.strip_prefix($prefix).ok_or_else(error)?;
                let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                if digits.len() != 17 || !digits.bytes().all(lower_hex) {
                    return Err(error());
                }
                u128::from_str_radix(digits, 16).map(Self).map_err(|_| error())
            }
        }

        text_form!($name);
    };
}

prefixed_id!(
    /// A VPC's ID.
    VpcId, "vpc-", "the ID of a VPC"
);
prefixed_id!(
    /// A subnet's ID.
    SubnetId, "subnet-", "the ID of a subnet"
);
prefixed_id!(
    /// A network interface's ID.
    EniId, "eni-", "the ID of a network interface"
);
prefixed_id!(
    /// An instance's ID.
    InstanceId, "i-", "the ID of an instance"
);
prefixed_id!(
    /// An endpoint service's ID.
    ServiceId, "vpce-svc-", "the ID of an endpoint service"
);
prefixed_id!(
    /// An interface endpoint's ID.
    EndpointId, "vpce-", "the ID of an endpoint"
);

/// An account's ID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:012}", self.0))
    }
}

impl FromStr for AccountId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError::new(text, "the ID of an account", "12 digits");
        if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        text.parse().map(Self).map_err(|_| error())
    }
}

text_form!(AccountId);

/// An availability zone's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(Arc<str>);

impl Zone {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Zone {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if text.is_empty() || text.len() > 32 || !text.bytes().all(allowed) {
            let expected = "1 to 32 characters of a-z, 0-9 and -, for example us-east-1a";
            return Err(IdError::new(text, "the name of an availability zone", expected));
        }
        Ok(Self(text.into()))
    }
}

text_form!(Zone);

/// The resource name of a load balancer, a target group or a listener.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn(Arc<str>);

impl Arn {
    /// A new load balancer's.
    pub fn load_balancer(region: &str, owner: AccountId, name: &str, random: &mut dyn FnMut() -> u64) -> Self {
        Self::new(region, owner, format_args!("loadbalancer/net/{name}/{:016x}", random()))
    }

    /// A new target group's.
    pub fn target_group(region: &str, owner: AccountId, name: &str, random: &mut dyn FnMut() -> u64) -> Self {
        Self::new(region, owner, format_args!("targetgroup/{name}/{:016x}", random()))
    }

    /// A new listener's, of this load balancer.
    #[must_use]
    pub fn listener(&self, random: &mut dyn FnMut() -> u64) -> Self {
        let listener = self.0.replacen(":loadbalancer/", ":listener/", 1);
        Self(format!("{listener}/{:016x}", random()).into())
    }

    fn new(region: &str, owner: AccountId, resource: fmt::Arguments<'_>) -> Self {
        Self(format!("arn:aws:elasticloadbalancing:{region}:{owner}:{resource}").into())
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the account, for example `loadbalancer/net/<name>/<16 hex>`.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.0.splitn(6, ':').nth(5).unwrap_or_default()
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Arn {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let printable = text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic());
        match parts.as_slice() {
            ["arn", "aws", "elasticloadbalancing", _, account, resource]
                if printable && account.parse::<AccountId>().is_ok() && !resource.is_empty() =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(IdError::new(text, "an ARN", "arn:aws:elasticloadbalancing:<region>:<account>:<resource>")),
        }
    }
}

text_form!(Arn);

/// A MAC address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// From the six bytes in wire order.
    #[must_use]
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// The address of a network interface: 02 (locally administered, one station) and the ID's last five bytes.
    #[must_use]
    pub fn of_eni(id: EniId) -> Self {
        let bytes = id.bits().to_be_bytes();
        Self([0x02, bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]])
    }

    /// The six bytes in wire order.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl From<MacAddress> for plink_common::abi::Mac {
    fn from(address: MacAddress) -> Self {
        Self::new(address.octets())
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        f.pad(&format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"))
    }
}

impl FromStr for MacAddress {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError::new(text, "a MAC address", "six pairs of hexadecimal digits, separated by colons");
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()));
            *octet = part.and_then(|part| u8::from_str_radix(part, 16).ok()).ok_or_else(error)?;
        }
        if parts.next().is_some() { Err(error()) } else { Ok(Self(octets)) }
    }
}

text_form!(MacAddress);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn ids_have_seventeen_digits_both_ways() {
        let id: VpcId = "vpc-0123456789abcdef0".parse().unwrap();
        assert_eq!(id.to_string(), "vpc-0123456789abcdef0");
        assert_eq!(id.digits(), "0123456789abcdef0");
        assert_eq!(VpcId::from_bits(u128::MAX).to_string(), "vpc-fffffffffffffffff");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"vpc-0123456789abcdef0\"");
        assert_eq!(serde_json::from_str::<VpcId>("\"vpc-0123456789abcdef0\"").unwrap(), id);
    }

    #[test]
    fn what_is_not_an_id_is_refused_with_what_is() {
        for text in
            ["", "vpc-", "vpc-0123", "vpc-0123456789ABCDEF0", "subnet-0123456789abcdef0", "vpc-+123456789abcdef0"]
        {
            let error = text.parse::<VpcId>().unwrap_err().to_string();
            assert!(error.contains("vpc- and 17 hexadecimal digits"), "{error}");
        }
        // An endpoint service's prefix begins with an endpoint's.
        assert!("vpce-svc-0123456789abcdef0".parse::<EndpointId>().is_err());
        let error = "x".repeat(5000).parse::<VpcId>().unwrap_err().to_string();
        assert!(error.len() < 250, "{error}");
    }

    #[test]
    fn accounts_keep_their_zeros() {
        assert_eq!("000000000001".parse::<AccountId>().unwrap().to_string(), "000000000001");
        for text in ["1", "0000000000001", "+00000000001", "11112222333x"] {
            assert!(text.parse::<AccountId>().is_err(), "{text}");
        }
    }

    #[test]
    fn arns_name_the_resource() {
        let account = "111122223333".parse().unwrap();
        let arn = Arn::load_balancer("us-east-1", account, "web", &mut || 0xabc);
        assert_eq!(
            arn.as_str(),
            "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/web/0000000000000abc"
        );
        assert_eq!(arn.listener(&mut || 1).resource(), "listener/net/web/0000000000000abc/0000000000000001");
        assert_eq!(arn.as_str().parse::<Arn>().unwrap(), arn);
        assert!("arn:aws:ec2:us-east-1:111122223333:vpc/x".parse::<Arn>().is_err());
    }

    #[test]
    fn a_mac_address_follows_from_the_interface() {
        let mac = MacAddress::of_eni("eni-0123456789abcdef0".parse().unwrap());
        assert_eq!(mac.to_string(), "02:78:9a:bc:de:f0");
        assert_eq!("02:78:9a:bc:de:f0".parse::<MacAddress>().unwrap(), mac);
        assert!("02:78:9a:bc:de".parse::<MacAddress>().is_err());
        assert!("02:78:9a:bc:de:f0:00".parse::<MacAddress>().is_err());
    }
}
