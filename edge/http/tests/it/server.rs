//! The admin server as probes, scrapers and ill-behaved clients see it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::StatusCode;
use strongroom_http::{Answer, Posted, Route, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn start(drain: Duration) -> Running {
    let routes = vec![
        Route::new("/livez", || Answer::text(StatusCode::OK, "ok\n")),
        Route::post("/news", 10, |posted: &Posted| {
            let kind = posted.headers.get("x-kind").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            Answer::text(StatusCode::ACCEPTED, format!("{kind} {} bytes\n", posted.body.len()))
        }),
        Route::new("/readyz", || Answer::text(StatusCode::SERVICE_UNAVAILABLE, "not ready: watch of secrets\n")),
    ];
    let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), routes).await.unwrap();
    let address = server.address();
    let (stop, stopped) = oneshot::channel();
    let stopped = async { drop(stopped.await) };
    let server = tokio::spawn(server.run(stopped, drain));
    Running { address, stop, server }
}

/// Sends `request` as it is and reads until the server closes.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn routes_answer_get_and_head_and_nothing_else() {
    let running = start(Duration::ZERO).await;
    let check = async |method: &str, path: &str, status: &str, body: &str| {
        let answer = exchange(running.address, &request(method, path)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {path}: {answer}");
        assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, body, "{method} {path}");
        assert!(answer.contains("content-type: text/plain; charset=utf-8"), "{answer}");
    };
    check("GET", "/livez", "200", "ok\n").await;
    check("GET", "/livez?verbose", "200", "ok\n").await;
    check("GET", "/readyz", "503", "not ready: watch of secrets\n").await;
    check("HEAD", "/livez", "200", "").await;
    check("POST", "/livez", "405", "only GET and HEAD\n").await;
    check("GET", "/", "404", "not found\n").await;
}

#[tokio::test]
async fn what_is_posted_is_bounded_and_comes_whole() {
    let running = start(Duration::ZERO).await;
    let check = async |head: &str, body: &str, status: &str, expected: &str| {
        let sent = format!("POST /news HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-kind: a\r\n{head}\r\n{body}");
        let answer = exchange(running.address, &sent).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer}");
        assert!(answer.ends_with(expected), "{head}: {answer}");
    };
    check("content-length: 10\r\n", "0123456789", "202", "a 10 bytes\n").await;
    check("", "", "202", "a 0 bytes\n").await;
    check("content-length: 11\r\n", "0123456789a", "413", "at most 10 bytes\n").await;
    let chunked = "6\r\n012345\r\n6\r\n6789ab\r\n0\r\n\r\n";
    check("transfer-encoding: chunked\r\n", chunked, "413", "at most 10 bytes\n").await;
    let answer = exchange(running.address, &request("GET", "/news")).await;
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: POST"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_gives_its_place_back() {
    let running = start(Duration::ZERO).await;
    let begun = Instant::now();
    let answer = exchange(running.address, "POST /news HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_connection_serves_several_requests() {
    let running = start(Duration::ZERO).await;
    let first = "GET /livez HTTP/1.1\r\nhost: a\r\n\r\n";
    let answers = exchange(running.address, &format!("{first}{}", request("GET", "/livez"))).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
}

#[tokio::test]
async fn heads_are_bounded() {
    let running = start(Duration::ZERO).await;
    let long = format!("GET /livez HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    let answer = exchange(running.address, &long).await;
    assert!(!answer.contains("200 OK"), "{answer}");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn silent_clients_lose_their_places() {
    let running = start(Duration::ZERO).await;
    // As many as there are places, so that the next is served only when one of them is gone.
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(TcpStream::connect(running.address).await.unwrap());
    }
    let start = Instant::now();
    let asked = request("GET", "/livez");
    let answer = tokio::time::timeout(Duration::from_secs(30), exchange(running.address, &asked));
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(start.elapsed() > Duration::from_secs(5), "there were more places than it says");
}

#[tokio::test]
async fn stopping_ends_idle_connections_at_once_and_takes_no_new_ones() {
    let running = start(Duration::from_secs(20)).await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut begun = [0; 12];
    idle.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    let start = Instant::now();
    running.stop.send(()).unwrap();
    running.server.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "an idle connection held it for {:?}", start.elapsed());
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn stopping_waits_no_longer_than_it_is_told() {
    let running = start(Duration::from_millis(300)).await;
    let mut half = TcpStream::connect(running.address).await.unwrap();
    half.write_all(b"GET /livez HT").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    running.stop.send(()).unwrap();
    running.server.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(3), "half a request held it for {:?}", start.elapsed());
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let running = start(Duration::ZERO).await;
    let failure = Server::bind(running.address, Vec::new()).await.unwrap_err();
    assert!(failure.to_string().starts_with(&format!("cannot listen on {}: Address already in use", running.address)));
}
