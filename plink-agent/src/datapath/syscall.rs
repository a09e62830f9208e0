//! The bpf system call for what aya has no typed wrapper for: reading maps in batches, removing from an array of maps,
//! where a link is attached. All unsafe code that touches maps is here; what is above it is typed by [`super::Table`].

use std::{
    ffi::CString,
    io, mem,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_link_info};

/// Reads one value into `value`, which is as long as the map's values are (for per-CPU maps: all of them). Whether
/// there is one.
pub(super) fn lookup(map: BorrowedFd<'_>, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
    let mut attr = element(map, key, value.as_mut_ptr() as u64, 0);
    absent_is_false(call(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr))
}

/// Writes one value.
pub(super) fn update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut attr = element(map, key, value.as_ptr() as u64, 0);
    call(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// Removes one key. Whether it was there.
pub(super) fn delete(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<bool> {
    let mut attr = element(map, key, 0, 0);
    absent_is_false(call(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr))
}

/// Reads a whole map, `chunk` entries at a time, as keys and values one after another. A hash map's entries that come
/// and go meanwhile may be missing.
pub(super) fn read_all(
    map: BorrowedFd<'_>,
    key_size: usize,
    value_size: usize,
    mut chunk: usize,
    mut visit: impl FnMut(&[u8], &[u8]),
) -> io::Result<()> {
    // The cursor is a key, or a bucket number of four bytes.
    let (mut cursor, mut next) = (vec![0_u8; key_size.max(4)], vec![0_u8; key_size.max(4)]);
    let mut started = false;
    loop {
        let (mut keys, mut values) = (vec![0_u8; chunk * key_size], vec![0_u8; chunk * value_size]);
        loop {
            let mut attr = zeroed();
            attr.batch.in_batch = if started { cursor.as_ptr() as u64 } else { 0 };
            attr.batch.out_batch = next.as_mut_ptr() as u64;
            attr.batch.keys = keys.as_mut_ptr() as u64;
            attr.batch.values = values.as_mut_ptr() as u64;
            attr.batch.count = chunk as u32;
            attr.batch.map_fd = map.as_raw_fd() as u32;
            let result = call(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr);
            let ended = match &result {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
                // A bucket that holds more than a chunk.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => break,
                Err(_) => return result.map(drop),
                Ok(_) => false,
            };
            // SAFETY: the batch variant was written above and the kernel wrote its count.
            let count = unsafe { attr.batch.count } as usize;
            visit(&keys[..count * key_size], &values[..count * value_size]);
            if ended {
                return Ok(());
            }
            mem::swap(&mut cursor, &mut next);
            started = true;
        }
        chunk *= 2;
    }
}

/// What a pinned link is attached to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkInfo {
    /// The link's ID.
    pub id: u32,
    /// Its program's ID.
    pub program: u32,
    /// The interface's index, 0 when it is gone.
    pub interface: u32,
}

/// Reads a pinned XDP link.
pub(super) fn link_info(path: &Path) -> io::Result<LinkInfo> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    let fd = call(bpf_cmd::BPF_OBJ_GET, &mut attr)?;
    // SAFETY: the kernel returned a new descriptor, which nothing else owns.
    let link = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: a C structure of integers; zero is valid.
    let mut info: bpf_link_info = unsafe { mem::zeroed() };
    let mut attr = zeroed();
    attr.info.bpf_fd = link.as_raw_fd() as u32;
    attr.info.info_len = size_of::<bpf_link_info>() as u32;
    attr.info.info = (&raw mut info) as u64;
    call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    // SAFETY: the union was zeroed and the kernel wrote the variant of the link's type; for an XDP link, the only kind
    // that is pinned here, that is this one, and as an integer it is valid for any.
    let interface = unsafe { info.__bindgen_anon_1.xdp.ifindex };
    Ok(LinkInfo { id: info.id, program: info.prog_id, interface })
}

fn element(map: BorrowedFd<'_>, key: &[u8], value: u64, flags: u64) -> bpf_attr {
    let mut attr = zeroed();
    attr.__bindgen_anon_2.map_fd = map.as_raw_fd() as u32;
    attr.__bindgen_anon_2.key = key.as_ptr() as u64;
    attr.__bindgen_anon_2.__bindgen_anon_1.value = value;
    attr.__bindgen_anon_2.flags = flags;
    attr
}

fn zeroed() -> bpf_attr {
    // SAFETY: a union of C structures of integers; zero is valid for each.
    unsafe { mem::zeroed() }
}

fn absent_is_false(result: io::Result<i32>) -> io::Result<bool> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        result => result.map(|_| true),
    }
}

fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: `attr` is a whole `bpf_attr`; the callers in this module fill it for the command, with pointers to
    // buffers that live across the call and are as long as the map's keys and values, which `Table` checks on opening.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, std::ptr::from_mut(attr), size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
