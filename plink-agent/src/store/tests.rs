#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use redb::Database;

use super::{
    EmbeddedStore, Store, StoreError,
    embedded::{FACT_SCHEMA, FACTS, FILE, SCHEMA},
};
use crate::model::{Change, Key, State, Tags, Vpc, VpcId};

fn vpc(number: u32) -> Vpc {
    Vpc {
        id: VpcId::from_bits(number.into()),
        owner: "111122223333".parse().unwrap(),
        cidr: "10.0.0.0/16".parse().unwrap(),
        number,
        tags: Tags::from([("Name".to_owned(), format!("vpc number {number}, \u{e9}"))]),
    }
}

fn put(store: &mut EmbeddedStore, state: &mut State, changes: Vec<Change>) {
    store.commit(&changes).unwrap();
    changes.into_iter().for_each(|change| state.apply(change));
}

/// A store with a few objects in it, closed.
fn filled(folder: &Path) -> State {
    let mut store = EmbeddedStore::open(folder).unwrap();
    let mut state = State::default();
    for number in 1..=200 {
        put(&mut store, &mut state, vec![Change::put(vpc(number)), Change::NextGeneration(number + 1)]);
    }
    state
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let mut store = EmbeddedStore::open(&path).unwrap();
    let id = store.id();
    assert_ne!(id, [0; 16]);
    let mut state = State::default();
    assert_eq!(store.load().unwrap(), state);
    put(&mut store, &mut state, vec![Change::put(vpc(1)), Change::put(vpc(2)), Change::NextGeneration(7)]);
    put(&mut store, &mut state, vec![Change::Delete(Key::Vpc(vpc(1).id))]);
    put(&mut store, &mut state, vec![Change::put(Vpc { number: 9, ..vpc(2) })]);
    put(&mut store, &mut state, Vec::new());
    assert_eq!(store.load().unwrap(), state);
    drop(store);
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!((store.id(), store.load().unwrap()), (id, state));
    assert_eq!(store.load().unwrap().next_generation, 7);
}

#[test]
fn a_second_opener_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = EmbeddedStore::open(folder.path()).unwrap();
    let error = EmbeddedStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&std::process::id().to_string()) && text.contains("--state-dir"), "{text}");
    drop(first);
    EmbeddedStore::open(folder.path()).unwrap();
}

/// Opening fails, and the file is what it was.
fn refused(folder: &Path) -> StoreError {
    let before = fs::read(folder.join(FILE)).unwrap();
    let error = EmbeddedStore::open(folder).unwrap_err();
    assert!(error.to_string().contains(&folder.join(FILE).display().to_string()), "{error}");
    assert!(fs::read(folder.join(FILE)).unwrap() == before, "the file was changed");
    error
}

#[test]
fn a_foreign_file_is_refused_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    for content in ["hello", "SQLite format 3\0 and more of it, longer than any header would be"] {
        fs::write(folder.path().join(FILE), content).unwrap();
        let error = refused(folder.path());
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    }
    fs::remove_file(folder.path().join(FILE)).unwrap();
    Database::create(folder.path().join(FILE)).unwrap().begin_write().unwrap().commit().unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
}

#[test]
fn an_empty_or_truncated_file_is_refused_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let whole = fs::read(folder.path().join(FILE)).unwrap();
    for length in [0, 1, 9, 100, 320, 4096, 8192, 65_536, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        fs::write(folder.path().join(FILE), &whole[..length]).unwrap();
        refused(folder.path());
    }
    fs::write(folder.path().join(FILE), &whole).unwrap();
    EmbeddedStore::open(folder.path()).unwrap();
}

#[test]
fn a_damaged_page_is_refused_and_stays_or_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let state = filled(folder.path());
    let whole = fs::read(folder.path().join(FILE)).unwrap();
    let mut refusals = 0;
    for page in 0..whole.len() / 4096 {
        let mut bytes = whole.clone();
        if bytes[page * 4096..][..4096].iter().all(|byte| *byte == 0) {
            continue;
        }
        // Near the beginning: every kind of page has something there.
        for offset in [0, 5, 64] {
            bytes[page * 4096 + offset] ^= 0xff;
        }
        fs::write(folder.path().join(FILE), &bytes).unwrap();
        match EmbeddedStore::open(folder.path()) {
            // A page that is in use no longer.
            Ok(store) => assert_eq!(store.load().unwrap(), state, "page {page}"),
            Err(_) => {
                refusals += 1;
                fs::write(folder.path().join(FILE), &bytes).unwrap();
                refused(folder.path());
            }
        }
    }
    assert!(refusals > 5, "only {refusals} pages mattered");
}

#[test]
fn a_newer_schema_is_refused_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let database = Database::open(folder.path().join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    let newer = (SCHEMA + 1).to_le_bytes();
    transaction.open_table(FACTS).unwrap().insert(FACT_SCHEMA, newer.as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = refused(folder.path());
    assert!(matches!(error, StoreError::NewerSchema { found: 2, supported: 1, .. }), "{error}");
}

#[test]
fn a_generation_that_was_not_handed_out_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = EmbeddedStore::open(folder.path()).unwrap();
    let load_balancer = crate::control::testing::load_balancer_record(5);
    store.commit(&[Change::put(load_balancer)]).unwrap();
    drop(store);
    let error = refused(folder.path());
    assert!(matches!(error, StoreError::Damaged { .. }) && error.to_string().contains("generation 5"), "{error}");
}

const CHILD: &str = "PLINK_TEST_STORE_CHILD";

/// Not a test of its own: what the next one runs and kills.
#[test]
fn child_that_commits_until_it_is_killed() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let mut store = EmbeddedStore::open(Path::new(&folder)).unwrap();
    let first = store.load().unwrap().next_generation;
    for number in first..first + 100_000 {
        store.commit(&[Change::put(vpc(number)), Change::NextGeneration(number + 1)]).unwrap();
        // Past the test harness, which captures what `println!` writes.
        std::io::Write::write_all(&mut std::io::stderr(), format!("acknowledged {number}\n").as_bytes()).unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_to_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = 0;
    for round in 1..=8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::tests::child_that_commits_until_it_is_killed", "--exact", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let acknowledged =
            |line: std::io::Result<String>| line.ok()?.strip_prefix("acknowledged ")?.parse::<u32>().ok();
        for _ in 0..round * 7 {
            expected = acknowledged(lines.next().unwrap()).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it acknowledged while it was being killed counts as well.
        expected = lines.filter_map(acknowledged).last().unwrap_or(expected);
        let state = EmbeddedStore::open(folder.path()).unwrap().load().unwrap();
        for number in 1..=expected {
            assert_eq!(state.vpcs[&VpcId::from_bits(number.into())].as_ref(), &vpc(number), "round {round}");
        }
        // A commit that was durable but not yet acknowledged may be there too; it is there as a whole.
        let count = state.vpcs.len() as u32;
        assert!(count == expected || count == expected + 1, "round {round}: {count} of {expected}");
        assert_eq!(state.next_generation, count + 1, "round {round}");
        expected = count;
    }
}
