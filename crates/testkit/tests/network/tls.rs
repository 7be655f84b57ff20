//! TLS: who trusts the server, the names that it has, and the ends of its connections.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use box_longpoll_testkit::{Config, Emulator, EmulatorServer, Endpoint, Fault, Settings};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, HandshakeKind, RootCertStore,
    StreamOwned,
};

use crate::client::{Client, TIMEOUT, connect, takes_at_least};

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn server(settings: Settings) -> EmulatorServer {
    EmulatorServer::start_with(Config {
        tls: true,
        ..Config::from(settings)
    })
}

/// Returns the configuration of clients that trust the authority of a server, and no other.
fn trusting(server: &EmulatorServer) -> Arc<ClientConfig> {
    let pem = server.authority_pem().expect("an authority");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM"))
        .expect("a certificate");
    ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
        .into()
}

fn over_tls(socket: TcpStream, name: &str, config: &Arc<ClientConfig>) -> Client<Tls> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let session = ClientConnection::new(Arc::clone(config), name).expect("a session");
    Client(StreamOwned::new(session, socket))
}

fn client(server: &EmulatorServer) -> Client<Tls> {
    over_tls(connect(server), "127.0.0.1", &trusting(server))
}

#[test]
fn api_and_polls_are_served_over_tls() {
    let server = server(Settings::default());
    let origin = server.origin();
    assert!(origin.starts_with("https://127.0.0.1:"));
    server.append("token", 500);
    let mut client = client(&server);
    assert_eq!(client.page().json()["chunk_size"], 500);
    client.send("OPTIONS", "/2.0/events", "");
    let list = client.receive().json();
    let url = list["entries"][0]["url"].as_str().expect("a URL");
    assert!(url.starts_with("https://localhost/realtime/"), "{url}");
    client.send("GET", url, "");
    let held = |emulator: &Emulator| emulator.counters().open_polls == 1;
    assert!(server.wait_until(TIMEOUT, held));
    server.append("token", 1);
    let (received, error) = client.rest();
    assert!(received.ends_with(br#"{"message":"new_change"}"#));
    assert_eq!(error, None, "TLS ends in order");
}

#[test]
fn a_client_that_does_not_trust_the_authority_refuses() {
    let (server, other) = (server(Settings::default()), server(Settings::default()));
    assert_ne!(server.authority_pem(), other.authority_pem());
    let mut client = over_tls(connect(&server), "127.0.0.1", &trusting(&other));
    let error = client.0.flush().expect_err("the client refuses");
    let error = error.downcast::<Error>().expect("an error of TLS");
    let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
    assert_eq!(error, unknown);
    assert_eq!(server.requests(), []);
}

#[test]
fn the_certificate_has_every_name_of_loopback() {
    let config = Config {
        tls: true,
        ..Config::default()
    };
    let server = EmulatorServer::start_on((Ipv4Addr::UNSPECIFIED, 0).into(), config);
    let server = server.expect("a port");
    let port = server.origin().rsplit(':').next().expect("a port");
    for (address, names) in [
        (
            "127.0.0.1",
            ["localhost", "127.0.0.1", "::1", "0.0.0.0"].as_slice(),
        ),
        ("127.0.0.2", &["127.0.0.2"]),
    ] {
        for name in names {
            let socket = TcpStream::connect(format!("{address}:{port}")).expect("a connection");
            let mut client = over_tls(socket, name, &trusting(&server));
            assert!(client.page().says("HTTP/1.1 200 OK"), "{name}");
        }
    }
    let mut elsewhere = over_tls(connect(&server), "elsewhere.example", &trusting(&server));
    assert!(elsewhere.0.flush().is_err());
}

#[test]
fn a_handshake_takes_a_round_trip_more() {
    let server = server(Settings {
        latency_ms: 40,
        ..Settings::default()
    });
    let latency = Duration::from_millis(40);
    let mut client = takes_at_least(6 * latency, || {
        let mut client = client(&server);
        client.page();
        client
    });
    takes_at_least(2 * latency, || client.page());
}

#[test]
fn a_client_resumes_its_session() {
    let server = server(Settings::default());
    let config = trusting(&server);
    let kinds = [(), ()].map(|()| {
        let mut client = over_tls(connect(&server), "127.0.0.1", &config);
        client.page();
        client.0.conn.handshake_kind()
    });
    assert_eq!(
        kinds,
        [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]
    );
}

#[test]
fn a_fault_cuts_a_response_out_of_tls() {
    for latency_ms in [0, 10] {
        let server = server(Settings {
            latency_ms,
            ..Settings::default()
        });
        server.append("token", 3);
        let complete = client(&server).page().body;
        let meet = |fault| {
            server.queue_fault(Endpoint::Events, fault, 1);
            let mut client = client(&server);
            client.send("GET", "/2.0/events", "");
            client.rest()
        };
        let (received, error) = meet(Fault::CloseInBody);
        assert!(received.ends_with(&complete[..complete.len() / 2]));
        assert_eq!(error, Some(ErrorKind::UnexpectedEof));
        let (received, error) = meet(Fault::ResetInBody);
        assert!(received.ends_with(&complete[..complete.len() / 2]));
        assert_eq!(error, Some(ErrorKind::ConnectionReset));
        let closed = meet(Fault::CloseBeforeHeaders);
        assert_eq!(closed, (Vec::new(), Some(ErrorKind::UnexpectedEof)));
    }
}

#[test]
fn an_idle_connection_ends_in_order() {
    let server = server(Settings::default());
    let mut client = client(&server);
    client.page();
    server.change_settings(|settings| settings.idle_close_ms = Some(100));
    client.page();
    assert_eq!(client.rest(), (Vec::new(), None));
}

#[test]
fn only_control_requests_need_no_tls() {
    let server = server(Settings::default());
    let mut control = Client::new(&server);
    control.send("GET", "/_emulator/settings", "");
    let response = control.receive();
    assert_eq!(response.json()["latency_ms"], 0);
    assert!(response.says("connection: close"));
    let mut client = client(&server);
    client.send("GET", "/_emulator/settings", "");
    assert_eq!(client.receive().json()["latency_ms"], 0);

    let mut plain = Client::new(&server);
    plain.send("GET", "/2.0/events", "");
    assert!(!plain.rest().0.starts_with(b"HTTP"));
    assert_eq!(server.requests(), []);
}

#[test]
fn a_connection_above_the_limit_gets_no_handshake() {
    let server = EmulatorServer::start_with(Config {
        tls: true,
        max_connections: 1,
        ..Config::default()
    });
    let mut first = client(&server);
    first.page();
    let mut second = client(&server);
    assert!(second.0.read(&mut [0]).is_err());
    first.page();
}
