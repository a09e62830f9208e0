//! HTTP/1.1 as far as the test service needs it: requests without a body, keep-alive, one endless answer.

use std::{io, net::SocketAddr, time::Duration};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::host;

/// Longest request line with headers.
const MAX_HEAD: usize = 8 * 1024;

/// Bytes that are still read of a client that was refused, and for how long.
const MAX_UNREAD: u64 = 1 << 20;
const LINGER: Duration = Duration::from_secs(1);

/// Pause between the lines of `/stream`.
const STREAM_PAUSE: Duration = Duration::from_millis(200);

/// Who answers.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The instance's name.
    pub name: String,
    /// Its address; without one, the address that the client spoke to.
    pub address: Option<String>,
}

impl Identity {
    /// From what the agent gives to the commands of an instance.
    #[must_use]
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let name = variable("PLINK_INSTANCE_NAME").or_else(|| variable("PLINK_INSTANCE_ID"));
        Self { name: name.unwrap_or_else(|| "server".to_owned()), address: variable("PLINK_ADDRESS") }
    }
}

/// A request's head.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    method: String,
    path: String,
    keep_alive: bool,
    body: usize,
}

/// Answers the requests of one connection until it is closed.
pub async fn serve_connection<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    identity: &Identity,
    local: Option<SocketAddr>,
    peer: SocketAddr,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let address = identity.address.clone().unwrap_or_else(|| host(local));
    let greeting = format!("{} {address} saw {peer}\n", identity.name);
    while let Some(head) = read_head(&mut stream).await? {
        let Some(request) = parse_head(&head) else {
            respond(&mut stream, "400 Bad Request", "not an HTTP request\n", false).await?;
            return linger(&mut stream).await;
        };
        // Bodies are read past, within reason, so that the next request is found.
        let body = tokio::io::copy(&mut (&mut stream).take(request.body as u64), &mut tokio::io::sink()).await?;
        if body < request.body as u64 {
            return Ok(());
        }
        let keep = request.keep_alive;
        match (request.method.as_str(), request.path.as_str()) {
            ("GET" | "POST", "/") => respond(&mut stream, "200 OK", &greeting, keep).await?,
            ("HEAD", "/") => respond(&mut stream, "200 OK", "", keep).await?,
            ("GET", "/stream") => return endless(&mut stream, &greeting).await,
            ("GET" | "HEAD" | "POST", _) => {
                respond(&mut stream, "404 Not Found", "only / and /stream are here\n", keep).await?;
            }
            _ => respond(&mut stream, "405 Method Not Allowed", "only GET, HEAD and POST\n", keep).await?,
        }
        if !keep {
            break;
        }
    }
    Ok(())
}

/// Reads up to and including the empty line. Nothing at the end of the stream.
async fn read_head(stream: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        let room = (MAX_HEAD - before) as u64;
        stream.take(room).read_until(b'\n', &mut head).await?;
        let line = &head[before..];
        if line.is_empty() {
            // Closed, or too long, which then fails to parse.
            return Ok(if head.len() < MAX_HEAD { None } else { Some(head) });
        }
        if line == b"\r\n" || line == b"\n" {
            if before == 0 {
                head.clear();
                continue;
            }
            return Ok(Some(head));
        }
    }
}

fn parse_head(head: &[u8]) -> Option<Request> {
    let text = std::str::from_utf8(head).ok().filter(|text| text.len() < MAX_HEAD)?;
    let mut lines = text.lines();
    let mut words = lines.next()?.split_ascii_whitespace();
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return None;
    }
    let mut keep_alive = version != "HTTP/1.0";
    let mut body = 0;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("connection") {
            let has = |token: &str| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token));
            keep_alive = if has("close") { false } else { keep_alive || has("keep-alive") };
        } else if name.eq_ignore_ascii_case("content-length") {
            body = value.parse().ok()?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return None;
        }
    }
    let path = target.split(['?', '#']).next().unwrap_or(target).to_owned();
    Some(Request { method: method.to_owned(), path, keep_alive, body })
}

async fn respond(stream: &mut (impl AsyncWrite + Unpin), status: &str, text: &str, keep: bool) -> io::Result<()> {
    let connection = if keep { "keep-alive" } else { "close" };
    let length = text.len();
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: {connection}\r\n\r\n{text}"
    );
    stream.write_all(response.as_bytes()).await?;
    stream.flush().await
}

/// Ends our side and reads on for a while: closing with bytes unread would reset the connection, and the answer with it.
async fn linger(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = stream.take(MAX_UNREAD);
    let mut sink = tokio::io::sink();
    // Whatever comes of it, the connection ends now.
    let _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut rest, &mut sink)).await;
    Ok(())
}

/// One chunk after another until the connection is cut.
async fn endless(stream: &mut (impl AsyncWrite + Unpin), greeting: &str) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    for count in 1_u64.. {
        let line = format!("{count} {greeting}");
        stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await?;
        stream.flush().await?;
        tokio::time::sleep(STREAM_PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// All that the service sends to a client that sends `input` and closes its side.
    fn conversation(input: &str) -> String {
        block_on(async {
            let (mut client, server) = tokio::net::UnixStream::pair().unwrap();
            let identity = Identity { name: "web-1".into(), address: Some("10.0.1.10".into()) };
            let service = tokio::spawn(async move {
                serve_connection(server, &identity, None, "10.0.1.5:4711".parse().unwrap()).await
            });
            client.write_all(input.as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            let mut output = String::new();
            client.read_to_string(&mut output).await.unwrap();
            service.await.unwrap().unwrap();
            output
        })
    }

    #[test]
    fn the_root_says_who_answers_and_whom_it_saw() {
        let output = conversation("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(output.starts_with("HTTP/1.1 200 OK\r\n"), "{output}");
        assert!(output.contains("Content-Length: 34\r\nConnection: close\r\n"), "{output}");
        assert!(output.ends_with("\r\n\r\nweb-1 10.0.1.10 saw 10.0.1.5:4711\n"), "{output}");
    }

    #[test]
    fn a_connection_serves_one_request_after_another() {
        let input = "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /x HTTP/1.1\r\n\r\n";
        let output = conversation(input);
        assert_eq!(output.matches("HTTP/1.1 200 OK").count(), 2, "{output}");
        assert_eq!(output.matches("HTTP/1.1 404 Not Found").count(), 1, "{output}");
        // HTTP/1.0 closes unless it asks not to.
        let output = conversation("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n");
        assert_eq!(output.matches("HTTP/1.1 200 OK").count(), 1, "{output}");
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert!(conversation("hello\r\n\r\n").starts_with("HTTP/1.1 400 Bad Request"));
        assert!(conversation(&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(MAX_HEAD))).contains(" 400 "));
        assert_eq!(conversation("GET / HT"), "");
    }

    #[test]
    fn a_stream_lasts_until_it_is_cut() {
        block_on(async {
            let (mut client, server) = tokio::net::UnixStream::pair().unwrap();
            let identity = Identity { name: "web-1".into(), address: None };
            let service = tokio::spawn(async move {
                serve_connection(server, &identity, None, "10.0.1.5:4711".parse().unwrap()).await
            });
            client.write_all(b"GET /stream HTTP/1.1\r\n\r\n").await.unwrap();
            let mut output = String::new();
            while !output.contains("2 web-1 ? saw 10.0.1.5:4711\n") {
                let mut buffer = [0; 512];
                let length = client.read(&mut buffer).await.unwrap();
                assert_ne!(length, 0, "{output}");
                output.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            }
            assert!(output.contains("Transfer-Encoding: chunked"));
            drop(client);
            service.await.unwrap().unwrap_err();
        });
    }
}
