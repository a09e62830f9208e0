//! The embedded store: one redb file in the state folder.
//!
//! - A lock on a file of its own, taken first and held for good, keeps a second process out: redb's own lock would not
//!   cover the checks before the database is opened.
//! - A new file is made under another name, completely, and only then given its own, so that one that is there but not
//!   whole is a damaged one and never a beginning.
//! - An existing file is checked in memory before it is opened: redb repairs what it opens, and a file that we refuse
//!   has to stay as it was.
//! - Commits are two-phase: then redb never takes an older root for a damaged newest one, which would silently drop
//!   what was acknowledged.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, StorageError, TableDefinition,
    TableError, backends::InMemoryBackend,
};

use super::{Store, StoreError};
use crate::model::{Change, Record, State};

/// The layout of the tables and of the values.
pub(super) const SCHEMA: u32 = 1;
/// The database.
pub(super) const FILE: &str = "plink.redb";
const NEW_FILE: &str = "plink.redb.new";
const LOCK_FILE: &str = "lock";
const CACHE_BYTES: usize = 16 << 20;

/// Facts about the store, by name; see the constants below.
pub(super) const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("plink");
/// Objects as JSON, by ID or ARN.
pub(super) const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
pub(super) const FACT_SCHEMA: &str = "schema";
const FACT_ID: &str = "id";
const FACT_NEXT_GENERATION: &str = "next_generation";

/// The embedded store.
#[derive(Debug)]
pub struct EmbeddedStore {
    path: PathBuf,
    id: [u8; 16],
    database: Database,
    /// Held, so that the folder stays locked.
    _lock: File,
}

impl EmbeddedStore {
    /// Opens the store in a folder; makes both if they are not there.
    ///
    /// # Errors
    /// When another process holds it, and when the file is foreign, damaged or of a newer schema; it stays as it was.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder).map_err(io_error("create", folder))?;
        let lock = lock(folder)?;
        let path = folder.join(FILE);
        if path.try_exists().map_err(io_error("look for", &path))? {
            verify(&path)?;
        } else {
            create(folder, &path)?;
        }
        let database = Database::builder().set_cache_size(CACHE_BYTES).open(&path);
        let database = database.map_err(|error| open_error(&path, error))?;
        let (id, _) = read(&path, &database)?;
        Ok(Self { path, id, database, _lock: lock })
    }

    fn write(&self, changes: &[Change]) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_two_phase_commit(true);
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            let mut facts = transaction.open_table(FACTS)?;
            for change in changes {
                match change {
                    Change::Put(record) => {
                        let value = serde_json::to_vec(record).map_err(io::Error::other)?;
                        objects.insert(record.entity().key().to_string().as_str(), value.as_slice())?;
                    }
                    Change::Delete(key) => {
                        objects.remove(key.to_string().as_str())?;
                    }
                    Change::NextGeneration(next) => {
                        facts.insert(FACT_NEXT_GENERATION, next.to_le_bytes().as_slice())?;
                    }
                }
            }
        }
        // Durability::Immediate, redb's default: returns when the data is on the disk.
        transaction.commit()?;
        Ok(())
    }
}

impl Store for EmbeddedStore {
    fn id(&self) -> [u8; 16] {
        self.id
    }

    fn load(&self) -> Result<State, StoreError> {
        read(&self.path, &self.database).map(|(_, state)| state)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.write(changes).map_err(|error| StoreError::Write { path: self.path.clone(), reason: error.to_string() })
    }
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> StoreError + use<'a> {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only to tell the user; the lock counts, not the text.
            let _ = (&file).take(20).read_to_string(&mut holder);
            let holder = if holder.is_empty() { "(unknown)".to_owned() } else { holder };
            return Err(StoreError::InUse { path: folder.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(io_error("lock", &path)(error)),
    }
    let pid = std::process::id().to_string();
    file.set_len(0).and_then(|()| file.write_all(pid.as_bytes())).map_err(io_error("write", &path))?;
    Ok(file)
}

fn create(folder: &Path, path: &Path) -> Result<(), StoreError> {
    let new = folder.join(NEW_FILE);
    // Of a process that was killed right here; nothing was ever acknowledged from it.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", &new)(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(&new).map_err(io_error("create", &new))?;
    let database = Database::builder().create(&new).map_err(|error| open_error(&new, error))?;
    initialize(&database).map_err(|error| StoreError::Write { path: new.clone(), reason: error.to_string() })?;
    database.close().map_err(|error| open_error(&new, error))?;
    fs::rename(&new, path).map_err(io_error("rename", &new))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("sync", folder))
}

fn initialize(database: &Database) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    {
        transaction.open_table(OBJECTS)?;
        let mut facts = transaction.open_table(FACTS)?;
        facts.insert(FACT_SCHEMA, SCHEMA.to_le_bytes().as_slice())?;
        facts.insert(FACT_ID, rand::random::<[u8; 16]>().as_slice())?;
        facts.insert(FACT_NEXT_GENERATION, State::default().next_generation.to_le_bytes().as_slice())?;
    }
    transaction.commit()?;
    Ok(())
}

/// Opens and reads a copy of the file in memory, with all checks that redb has.
fn verify(path: &Path) -> Result<(), StoreError> {
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    if bytes.is_empty() {
        return Err(StoreError::Damaged { path: path.to_owned(), reason: "it is empty".to_owned() });
    }
    let copy = InMemoryBackend::new();
    let filled = copy.set_len(bytes.len() as u64).and_then(|()| copy.write(0, &bytes));
    filled.map_err(|error| damaged(path, &error))?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    let database = builder.create_with_backend(copy).map_err(|error| open_error(path, error))?;
    read(path, &database).map(|_| ())
}

/// The store's ID and all objects.
fn read(path: &Path, database: &Database) -> Result<([u8; 16], State), StoreError> {
    let transaction = database.begin_read().map_err(|error| damaged(path, &error))?;
    let facts = match transaction.open_table(FACTS) {
        Ok(facts) => facts,
        Err(TableError::TableDoesNotExist(_)) => {
            let reason = "a redb database of another program".to_owned();
            return Err(StoreError::Foreign { path: path.to_owned(), reason });
        }
        Err(error) => return Err(damaged(path, &error)),
    };
    let found = u32::from_le_bytes(fact(path, &facts, FACT_SCHEMA)?);
    match found {
        SCHEMA => {}
        0 => return Err(damaged(path, &"schema 0 never existed")),
        found => return Err(StoreError::NewerSchema { path: path.to_owned(), found, supported: SCHEMA }),
    }
    let id = fact(path, &facts, FACT_ID)?;
    let mut state = State::default();
    state.apply(Change::NextGeneration(u32::from_le_bytes(fact(path, &facts, FACT_NEXT_GENERATION)?)));
    let objects = transaction.open_table(OBJECTS).map_err(|error| damaged(path, &error))?;
    for row in objects.iter().map_err(|error| damaged(path, &error))? {
        let (key, value) = row.map_err(|error| damaged(path, &error))?;
        let key = key.value();
        let record: Record = serde_json::from_slice(value.value())
            .map_err(|error| damaged(path, &format_args!("the object {key:?} cannot be read: {error}")))?;
        if record.entity().key().to_string() != key {
            let other = record.entity().key();
            return Err(damaged(path, &format_args!("at {key:?} there is the object {other}")));
        }
        state.apply(Change::Put(record));
    }
    if let Some(generation) = state.generations().find(|generation| *generation >= state.next_generation) {
        let next = state.next_generation;
        return Err(damaged(path, &format_args!("generation {generation} is in use, but {next} is the next")));
    }
    Ok((id, state))
}

fn fact<const N: usize>(
    path: &Path,
    facts: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
) -> Result<[u8; N], StoreError> {
    let value = facts.get(name).map_err(|error| damaged(path, &error))?;
    let value = value.ok_or_else(|| damaged(path, &format_args!("the fact {name:?} is missing")))?;
    value.value().try_into().map_err(|_| damaged(path, &format_args!("the fact {name:?} has a wrong size")))
}

fn damaged(path: &Path, reason: &impl ToString) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), reason: reason.to_string() }
}

fn open_error(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::InUse { path: path.to_owned(), holder: "(unknown)".to_owned() }
        }
        DatabaseError::UpgradeRequired(version) => {
            let reason = format!("redb's file format {version}");
            StoreError::Foreign { path: path.to_owned(), reason }
        }
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            StoreError::Foreign { path: path.to_owned(), reason: error.to_string() }
        }
        DatabaseError::Storage(StorageError::Io(error)) => io_error("open", path)(error),
        error => damaged(path, &error),
    }
}
