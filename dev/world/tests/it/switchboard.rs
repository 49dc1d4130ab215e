//! Every fault as a client sees it, before real parts.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use world::certificates::Authority;
use world::moto::{Moto, Value};
use world::open_bao::OpenBao;
use world::python;
use world::switchboard::{Counts, Fault, Line, Switchboard, Which};

static BAO: LazyLock<OpenBao> = LazyLock::new(|| OpenBao::start().unwrap());

const HEALTH: &str = "/v1/sys/health";

fn board() -> Switchboard {
    Switchboard::to(BAO.host_port()).unwrap()
}

fn connect(board: &Switchboard) -> TcpStream {
    let stream = TcpStream::connect(board.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn send(stream: &mut TcpStream, path: &str) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
}

/// The head and exactly the announced body; less where the connection ends before.
fn receive(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap() == 0 {
            break;
        }
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let mut body = Vec::new();
    stream.take(announced(&head)).read_to_end(&mut body).unwrap();
    (head, body)
}

fn announced(head: &str) -> u64 {
    let lines = head.lines();
    lines
        .filter_map(|line| line.strip_prefix("content-length: "))
        .map(|length| length.parse().unwrap())
        .next()
        .unwrap_or(0)
}

fn ask(board: &Switchboard, path: &str) -> (String, Vec<u8>) {
    let mut stream = connect(board);
    send(&mut stream, path);
    receive(&mut stream)
}

fn status(board: &Switchboard, path: &str) -> String {
    ask(board, path).0.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn without_faults_it_passes_on_and_keeps_connections() {
    let board = board();
    let mut stream = connect(&board);
    for _ in 0..3 {
        send(&mut stream, HEALTH);
        let (head, body) = receive(&mut stream);
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["sealed"], false);
    }
    assert_eq!(status(&board, "/v1/secret/data/none?version=1"), "403");
    let by_operation = [("GET /v1/secret/data/none", 1), ("GET /v1/sys/health", 3)];
    let by_operation = by_operation.map(|(operation, count)| (operation.to_owned(), count)).into();
    assert_eq!(board.counts(), Counts { connections: 2, requests: 4, in_flight_peak: 1, by_operation });
    let requests = board.requests();
    assert_eq!(requests[3].path, "/v1/secret/data/none?version=1");
    assert_eq!(requests[3].header("host"), Some("localhost"));
    board.reset_counts();
    assert_eq!(board.counts(), Counts::default());
}

#[test]
fn delays_run_side_by_side() {
    let (board, delay) = (board(), Duration::from_millis(400));
    board.add(Fault::delay(delay));
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let start = Instant::now();
                assert_eq!(status(&board, HEALTH), "200");
                assert!(start.elapsed() >= delay);
            });
        }
    });
    assert_eq!(board.counts().in_flight_peak, 20);
}

#[test]
fn throttling_says_when_to_come_back_and_ends_after_its_times() {
    let board = board();
    board.add(Fault::throttle(Some(7)).times(2));
    let (head, _) = ask(&board, HEALTH);
    assert!(head.starts_with("http/1.1 429 ") && head.contains("retry-after: 7\r\n"), "{head}");
    assert_eq!([status(&board, HEALTH), status(&board, HEALTH)], ["429", "200"]);
}

#[test]
fn faults_are_for_whom_they_are_and_the_newest_decides() {
    let board = board();
    board.add(Fault::answer(503, &[], "out of order"));
    board.add(Fault::answer(418, &[], "").on_path("/v1/sys/seal").times(1));
    board.add(Fault::answer(403, &[], "").on_operation("GET /v1/sys/health"));
    assert_eq!([status(&board, "/v1/sys/seal-status"), status(&board, "/v1/sys/seal-status")], ["418", "503"]);
    assert_eq!(status(&board, "/v1/sys/health?standbyok=true"), "403");
    assert_eq!(ask(&board, "/v1/other").1, b"out of order");
    board.clear();
    assert_eq!(status(&board, HEALTH), "200");
}

#[test]
fn a_cut_body_has_the_true_length_and_half_its_bytes() {
    let board = board();
    let (head, whole) = ask(&board, HEALTH);
    board.add(Fault::cut_body());
    let (cut_head, half) = ask(&board, HEALTH);
    assert_eq!(announced(&head), announced(&cut_head));
    assert_eq!(half.len(), whole.len() / 2);
}

#[test]
fn silence_keeps_the_connection_open_and_hangup_closes_it() {
    let board = board();
    board.add(Fault::silence().times(1));
    let mut silent = connect(&board);
    send(&mut silent, HEALTH);
    silent.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    board.add(Fault::hangup());
    let mut closed = connect(&board);
    send(&mut closed, HEALTH);
    assert_eq!(closed.read(&mut [0]).unwrap(), 0);
    assert_eq!(board.counts().in_flight_peak, 2);
}

#[test]
fn a_withheld_answer_is_that_of_a_request_that_took_effect_and_is_counted_while_its_sender_waits() {
    let board = board();
    let words = |method: &str, path: &str, body: &str| {
        let (token, length) = (BAO.root_token(), body.len());
        format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: {token}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let [path, other] = ["/v1/secret/data/withheld", "/v1/secret/data/kept-silent"];
    for (fault, path) in [(Fault::withheld_answer(), path), (Fault::silence(), other)] {
        let both = Which::All(vec![Which::Path(path.to_owned()), Which::Body("\"a\"".to_owned())]);
        board.add(fault.on(both));
    }
    let mut senders = Vec::new();
    for (count, path) in [path, other].into_iter().enumerate() {
        let mut sender = connect(&board);
        sender.write_all(words("POST", path, r#"{"data":{"a":"b"}}"#).as_bytes()).unwrap();
        let start = Instant::now();
        while board.held() != count + 1 {
            assert!(start.elapsed() < Duration::from_secs(10), "{} are held", board.held());
            std::thread::sleep(Duration::from_millis(5));
        }
        senders.push(sender);
    }
    for (path, expected) in [(path, "200"), (other, "404")] {
        let mut asking = connect(&board);
        asking.write_all(words("GET", path, "").as_bytes()).unwrap();
        let (head, _) = receive(&mut asking);
        assert_eq!(head.split(' ').nth(1), Some(expected), "{path}");
    }
    drop(senders);
    let start = Instant::now();
    while board.held() != 0 {
        assert!(start.elapsed() < Duration::from_secs(10), "nobody waits, and {} are held", board.held());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_answer_without_a_length_is_passed_on_as_it_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let board = Switchboard::to(&listener.local_addr().unwrap().to_string()).unwrap();
    let mut watching = connect(&board);
    send(&mut watching, "/watch");
    let (mut server, _) = listener.accept().unwrap();
    // An answer that comes before its request ends the connection, and the request is sent again on another.
    receive(&mut server);
    // Half of an answer that has no end yet.
    server.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst \r\n").unwrap();
    let mut seen = String::new();
    watching.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    while !seen.contains("first ") {
        let mut buffer = [0; 1024];
        let length = watching.read(&mut buffer).unwrap();
        assert!(length > 0, "the answer ended: {seen}");
        seen.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
}

#[test]
fn a_refused_line_refuses_and_closes_and_opens_again() {
    let board = board();
    let mut open = connect(&board);
    send(&mut open, HEALTH);
    receive(&mut open);
    for _ in 0..3 {
        board.set_line(Line::Refused).unwrap();
        assert_eq!(TcpStream::connect(board.socket()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(open.read(&mut [0]).unwrap_or(0), 0);
        board.set_line(Line::Open).unwrap();
        assert_eq!(status(&board, HEALTH), "200");
    }
}

#[test]
fn a_half_open_line_accepts_and_says_nothing_until_it_opens() {
    let board = board();
    let mut earlier = connect(&board);
    send(&mut earlier, HEALTH);
    receive(&mut earlier);
    board.set_line(Line::HalfOpen).unwrap();
    let mut later = connect(&board);
    for stream in [&mut earlier, &mut later] {
        send(stream, HEALTH);
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    board.set_line(Line::Open).unwrap();
    for stream in [&mut earlier, &mut later] {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert!(receive(stream).0.starts_with("http/1.1 200 "));
    }
}

#[test]
fn dropping_it_ends_its_connections() {
    let board = board();
    let mut stream = connect(&board);
    let address = board.socket();
    drop(board);
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn an_unreachable_target_is_named() {
    let board = Switchboard::to("127.0.0.1:1").unwrap();
    let (head, body) = ask(&board, "/");
    assert!(head.starts_with("http/1.1 502 "), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("cannot reach 127.0.0.1:1"));
}

/// boto3 over TLS with a private authority: values pass, AWS's own errors are understood, actions are counted.
#[test]
fn boto3_sees_the_faults_of_aws() {
    let moto = Moto::start().unwrap();
    moto.put_secret("eu-west-1", "a", Value::Text("kept")).unwrap();
    let authority = Authority::new().unwrap();
    let board = Switchboard::with_tls(moto.host_port(), &authority).unwrap();
    board.add(Fault::aws("ThrottlingException").on(Which::Body("throttled".to_owned())));
    board.add(Fault::aws("ExpiredTokenException").on_operation("GetParameters").times(1));
    let script = "
import boto3, botocore.config, botocore.exceptions
config = botocore.config.Config(retries={'total_max_attempts': 1})
def attempt(call, **arguments):
    try:
        return call(**arguments)
    except botocore.exceptions.ClientError as error:
        return error.response['Error']['Code']
secrets = boto3.client('secretsmanager', config=config)
parameters = boto3.client('ssm', config=config)
print(secrets.get_secret_value(SecretId='a')['SecretString'])
print(attempt(secrets.get_secret_value, SecretId='throttled'))
print(attempt(parameters.get_parameters, Names=['n']))
print(attempt(parameters.get_parameters, Names=['n'])['InvalidParameters'])
print(boto3.client('sts', config=config).get_caller_identity()['Account'])
";
    let printed = python::prepare().unwrap().run(script, &[], &aws_variables(board.address(), &authority)).unwrap();
    let expected = ["kept", "ThrottlingException", "ExpiredTokenException", "['n']", "123456789012"];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
    let counts = board.counts();
    assert_eq!([counts.of("GetSecretValue"), counts.of("GetParameters"), counts.of("GetCallerIdentity")], [2, 2, 1]);
}

fn aws_variables<'a>(endpoint: &'a str, authority: &'a Authority) -> [(&'static str, &'a str); 5] {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_CA_BUNDLE", authority.certificate_file().to_str().unwrap()),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]
}
