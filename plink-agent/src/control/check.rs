//! What values are allowed, whatever the state.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::model::{AccountId, ControlError, ErrorCode, Tags};

const MAX_TAGS: usize = 50;
const MAX_TAG_KEY: usize = 128;
const MAX_TAG_VALUE: usize = 256;
const MAX_NAME: usize = 32;

/// Blocks that a host's own IP stack treats in ways of its own, so that no instance could use them.
const UNUSABLE: [Ipv4Net; 4] = [
    Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// A value that is not allowed in this field.
pub(super) fn invalid(field: &str, message: impl Into<String>) -> ControlError {
    ControlError::field(ErrorCode::InvalidParameterValue, field, message)
}

/// A field that must not be left out.
pub(super) fn missing(field: &str, message: impl Into<String>) -> ControlError {
    ControlError::field(ErrorCode::MissingParameter, field, message)
}

/// The CIDR of a VPC or a subnet.
pub(super) fn cidr(cidr: Ipv4Net) -> Result<(), ControlError> {
    if !(16..=28).contains(&cidr.prefix_len()) {
        return Err(invalid("cidr", format!("{cidr} has the wrong size: /16 to /28 are allowed")));
    }
    if cidr.trunc() != cidr {
        let meant = cidr.trunc();
        return Err(invalid("cidr", format!("{cidr} has bits set behind its prefix: {meant} begins there")));
    }
    if let Some(block) = UNUSABLE.iter().find(|block| block.contains(&cidr)) {
        return Err(invalid("cidr", format!("{cidr} lies in {block}, which hosts do not route"))
            .hint("use a private range: 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"));
    }
    Ok(())
}

/// All tags of one object.
pub(super) fn tags(tags: &Tags) -> Result<(), ControlError> {
    if tags.len() > MAX_TAGS {
        return Err(ControlError::field(
            ErrorCode::LimitExceeded,
            "tags",
            format!("{} tags: an object has {MAX_TAGS} at most", tags.len()),
        ));
    }
    for (key, value) in tags {
        tag_key(key)?;
        let length = value.chars().count();
        if length > MAX_TAG_VALUE || value.chars().any(char::is_control) {
            return Err(invalid(
                "tags",
                format!("the value of tag {key:?} is not allowed: 0 to {MAX_TAG_VALUE} printable characters are"),
            ));
        }
    }
    Ok(())
}

/// A tag's key.
pub(super) fn tag_key(key: &str) -> Result<(), ControlError> {
    let length = key.chars().count();
    if !(1..=MAX_TAG_KEY).contains(&length) || key.chars().any(char::is_control) {
        return Err(invalid(
            "tags",
            format!("tag key {:?} is not allowed: 1 to {MAX_TAG_KEY} printable characters are", shorten(key)),
        ));
    }
    if key.starts_with("aws:") {
        return Err(invalid("tags", format!("tag key {key:?} is not allowed: keys with aws: in front are reserved")));
    }
    Ok(())
}

/// The name of a load balancer or a target group; it becomes part of the ARN.
pub(super) fn name(name: &str) -> Result<(), ControlError> {
    if name.is_empty() {
        return Err(missing("name", format!("the name is missing: 1 to {MAX_NAME} characters of A-Z, a-z, 0-9 and -")));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.len() > MAX_NAME || !name.bytes().all(allowed) || name.starts_with('-') || name.ends_with('-') {
        return Err(invalid(
            "name",
            format!(
                "name {:?} is not allowed: 1 to {MAX_NAME} characters of A-Z, a-z, 0-9 and - are, with no - at either end",
                shorten(name)
            ),
        ));
    }
    Ok(())
}

/// A transport port.
pub(super) fn port(field: &str, port: u16) -> Result<(), ControlError> {
    if port == 0 { Err(invalid(field, "port 0 is not allowed: 1 to 65535 are")) } else { Ok(()) }
}

/// Who may create endpoints: everyone, or an identity of an account.
pub(super) fn principal(principal: &str) -> Result<(), ControlError> {
    if principal == "*" || principal_account(principal).is_some() {
        return Ok(());
    }
    Err(invalid(
        "allowed_principals",
        format!(
            "principal {:?} is not allowed: * (everyone) or arn:aws:iam::<account of 12 digits>:root are (also :user/<name>, :role/<name>)",
            shorten(principal)
        ),
    ))
}

/// The account of a principal's ARN.
pub(super) fn principal_account(principal: &str) -> Option<AccountId> {
    let (account, identity) = principal.strip_prefix("arn:aws:iam::")?.split_once(':')?;
    let named = |kind: &str| identity.strip_prefix(kind).is_some_and(|name| !name.is_empty());
    let printable = identity.len() <= 512 && identity.bytes().all(|byte| byte.is_ascii_graphic());
    (printable && (identity == "root" || named("user/") || named("role/"))).then(|| account.parse().ok())?
}

/// Text from outside, short enough for an error.
pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= 160 { text.to_owned() } else { text.chars().take(157).chain("...".chars()).collect() }
}

/// Whether an item occurs twice; the first that does.
pub(super) fn duplicate<T: PartialEq>(items: &[T]) -> Option<&T> {
    items.iter().enumerate().find(|(index, item)| items[..*index].contains(item)).map(|(_, item)| item)
}
