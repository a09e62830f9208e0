//! The unix socket: who may connect, lines in, lines out.

use std::{
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use nix::unistd::{Gid, Group, Uid, User, chown, getgrouplist};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream, unix::UCred},
};
use tracing::{debug, warn};

use super::{
    backend::Backend,
    handle::handle,
    protocol::{Envelope, MAX_LINE, Response, WireError},
};

/// The listening socket. Its file goes when this is dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    group: u32,
}

impl Server {
    /// Listens at `path`, mode 0660, for root, the agent's own user and `group`. A socket that a dead agent left is
    /// replaced; one that answers is another agent's.
    pub fn bind(path: &Path, group: Option<&str>) -> anyhow::Result<Self> {
        if path.exists() {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                bail!("another agent listens at {}: stop it, or choose another --run-dir", path.display());
            }
            std::fs::remove_file(path).with_context(|| format!("cannot remove the old socket {}", path.display()))?;
        }
        let listener = UnixListener::bind(path).with_context(|| format!("cannot listen at {}", path.display()))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        if let Some(group) = group {
            let known =
                Group::from_name(group)?.with_context(|| format!("there is no group `{group}` on this host"))?;
            chown(path, None, Some(known.gid)).with_context(|| format!("cannot give the socket to group {group}"))?;
        }
        let group = std::fs::metadata(path)?.gid();
        Ok(Self { listener, path: path.to_owned(), group })
    }

    /// Serves until the future is dropped.
    pub async fn run<B: Backend>(self, backend: Arc<B>) {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: others' connections end meanwhile.
                    warn!(%error, "cannot accept a connection to the local API");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let backend = Arc::clone(&backend);
            let group = self.group;
            tokio::spawn(async move {
                if let Err(error) = serve_peer(&*backend, stream, group).await {
                    debug!(%error, "a connection to the local API ended");
                }
            });
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve_peer<B: Backend>(backend: &B, mut stream: UnixStream, group: u32) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    if !permitted(&peer, group) {
        let message = format!("user {} may not use this socket: only root, the agent's user and its group", peer.uid());
        let hint = "run plinkctl as root, or set `socket_group` in the agent's configuration".to_owned();
        let hint = Some(hint);
        let error = WireError { code: "UnauthorizedOperation".into(), field: None, message, hint };
        return send(&mut stream, &Response::Error(error)).await;
    }
    let (reader, writer) = stream.split();
    serve_stream(backend, reader, writer).await
}

/// The mode keeps others out already; the socket may have been passed on, so the peer is asked as well.
fn permitted(peer: &UCred, group: u32) -> bool {
    if peer.uid() == 0 || peer.uid() == Uid::effective().as_raw() || peer.gid() == group {
        return true;
    }
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(peer.uid())) else { return false };
    let Ok(name) = std::ffi::CString::new(user.name) else { return false };
    getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&Gid::from_raw(group)))
}

/// Answers each line until the client closes its side.
pub async fn serve_stream<B: Backend>(
    backend: &B,
    reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut reader).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Ok(());
        }
        if line.len() > MAX_LINE && line.last() != Some(&b'\n') {
            let error = malformed(format!("the request is longer than {MAX_LINE} bytes"));
            return send(&mut writer, &Response::Error(error)).await;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let response = match serde_json::from_slice::<Envelope>(&line) {
            Ok(envelope) => Box::pin(handle(backend, envelope)).await,
            Err(error) => Response::Error(malformed(error.to_string())),
        };
        send(&mut writer, &response).await?;
    }
}

fn malformed(message: String) -> WireError {
    WireError { code: "MalformedRequest".into(), field: None, message, hint: None }
}

async fn send(writer: &mut (impl AsyncWrite + Unpin), response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    writer.flush().await
}
