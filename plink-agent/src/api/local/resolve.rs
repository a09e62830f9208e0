//! From what people type to an object: an ID, an ARN, or a name.

use std::sync::Arc;

use super::protocol::Kind;
use crate::model::{AccountId, ControlError, Entity, ErrorCode, State, Table};

/// Looks objects up for one request.
#[derive(Clone, Copy)]
pub(crate) struct Resolver<'a> {
    /// Where to look.
    pub(crate) state: &'a State,
    /// Who asks, if that was said: of several objects of a name, its own is meant.
    pub(crate) account: Option<AccountId>,
}

impl<'a> Resolver<'a> {
    /// The only object of the table with this ID or name.
    pub(crate) fn find<K, V: Entity>(
        &self,
        kind: Kind,
        table: &'a Table<K, V>,
        wanted: &str,
    ) -> Result<&'a Arc<V>, ControlError> {
        let id = |entity: &Arc<V>| entity.key().to_string();
        if let Some(found) = table.values().find(|entity| id(entity) == wanted) {
            return Ok(found);
        }
        let named: Vec<_> = table.values().filter(|entity| entity.name() == Some(wanted)).collect();
        let own: Vec<_> = named.iter().filter(|entity| Some(entity.owner()) == self.account).copied().collect();
        match (named.as_slice(), own.as_slice()) {
            ([found], _) | (_, [found]) => Ok(found),
            ([], _) => Err(self.unknown(kind, wanted, table.values().filter_map(|entity| entity.name()))),
            (several, _) => {
                let ids: Vec<_> = several.iter().map(|entity| id(entity)).collect();
                let message = format!("{} objects of kind {kind} are called `{wanted}`: {}", ids.len(), ids.join(", "));
                Err(ControlError::field(ErrorCode::Ambiguous, kind.label(), message).hint("use the ID"))
            }
        }
    }

    fn unknown<'n>(&self, kind: Kind, wanted: &str, names: impl Iterator<Item = &'n str>) -> ControlError {
        let error = ControlError::field(
            ErrorCode::NotFound,
            kind.label(),
            format!("there is no {kind} with the ID or name `{wanted}`"),
        );
        match nearest(wanted, names) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("`plinkctl {kind} list` shows them all")),
        }
    }
}

/// The most similar of some names, if one is similar enough to be what was meant.
pub(crate) fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // In a short word one slip (two letters exchanged, say) is most of it, which the one measure makes too much of.
    let slip = |name: &str| wanted.len() > 2 && strsim::osa_distance(wanted, name) <= 1;
    let score = |name: &str| if slip(name) { 0.95 } else { strsim::jaro_winkler(wanted, name) };
    let similar = names.map(|name| (score(name), name)).filter(|(score, _)| *score > 0.75);
    similar.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::{
        api::local::protocol::Tags,
        model::{Change, Vpc, VpcId},
    };

    fn state(vpcs: &[(u128, &str, &str)]) -> State {
        let mut state = State::default();
        for &(bits, owner, name) in vpcs {
            state.apply(Change::put(Vpc {
                id: VpcId::from_bits(bits),
                owner: owner.parse().unwrap(),
                cidr: "10.0.0.0/16".parse().unwrap(),
                number: 1,
                tags: Tags::from([("Name".to_owned(), name.to_owned())]),
            }));
        }
        state
    }

    fn vpc(state: &State, account: Option<&str>, wanted: &str) -> Result<VpcId, ControlError> {
        let resolver = Resolver { state, account: account.map(|account| account.parse().unwrap()) };
        resolver.find(Kind::Vpc, &state.vpcs, wanted).map(|vpc| vpc.id)
    }

    #[test]
    fn ids_and_unique_names_are_found() {
        let state = state(&[(1, "111122223333", "provider"), (2, "444455556666", "consumer")]);
        assert_eq!(vpc(&state, None, "provider").unwrap(), VpcId::from_bits(1));
        assert_eq!(vpc(&state, Some("111122223333"), "consumer").unwrap(), VpcId::from_bits(2));
        assert_eq!(vpc(&state, None, "vpc-00000000000000002").unwrap(), VpcId::from_bits(2));
    }

    #[test]
    fn an_unknown_name_comes_with_the_nearest() {
        let state = state(&[(1, "111122223333", "provider"), (2, "444455556666", "consumer")]);
        let error = vpc(&state, None, "provder").unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert_eq!(error.message, "there is no vpc with the ID or name `provder`");
        assert_eq!(error.hint.unwrap(), "did you mean `provider`?");
        let error = vpc(&state, None, "xyz").unwrap_err();
        assert_eq!(error.hint.unwrap(), "`plinkctl vpc list` shows them all");
    }

    #[test]
    fn an_ambiguous_name_lists_the_ids_unless_the_account_decides() {
        let state = state(&[(1, "111122223333", "main"), (2, "444455556666", "main")]);
        let error = vpc(&state, None, "main").unwrap_err();
        assert_eq!(error.code, ErrorCode::Ambiguous);
        assert_eq!(
            error.message,
            "2 objects of kind vpc are called `main`: vpc-00000000000000001, vpc-00000000000000002"
        );
        assert_eq!(vpc(&state, Some("444455556666"), "main").unwrap(), VpcId::from_bits(2));
        assert!(vpc(&state, Some("777788889999"), "main").is_err());
    }
}
