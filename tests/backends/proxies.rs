//! Clients behind real proxies from Debian's packages: tinyproxy for HTTP, and microsocks for
//! SOCKS.
//!
//! Only the proxies can resolve the host name of the fake Box, so a request that bypasses the proxy
//! fails. Each client runs in its own process, because the environment names the proxy. surf uses
//! no proxy: see `tests/surf.rs`.

mod client;
mod processes;

use std::sync::Arc;

use box_longpoll_testkit::EmulatorServer;
use rstest::rstest;

use self::processes::{Kind, PASSWORD, Process, Proxy, TempFile, USER, free_port};
use crate::backend::Backend;
use crate::fake_box::{TOKEN, fake_box};
use crate::gate::TlsGate;
use crate::tls::{Authority, VALID_UNTIL};
use crate::trial::append;

/// The host name of the fake Box.
const HOST: &str = "api.box.test";

/// [`PASSWORD`], partly percent-encoded, as it may appear in a URL.
const ENCODED: &str = "%70ass-canary";

/// A password that the proxies refuse.
const WRONG: &str = "wrong-canary";

/// The text of the error for a proxy that does not accept connections.
const UNREACHABLE: &str = "could not connect: the proxy cannot be reached";

/// A fake Box with three events, over TLS.
struct World {
    server: Arc<EmulatorServer>,
    authority: Authority,
    gate: TlsGate,
    /// The host names for the proxies.
    hosts: TempFile,
    /// The certificate that a client must trust.
    roots: TempFile,
    /// The proxies that run as long as the world.
    proxies: Vec<Proxy>,
}

impl World {
    fn new() -> Self {
        let authority = Authority::new();
        let server = fake_box(|_| ());
        append(&server, 3);
        let gate = TlsGate::new(&server, authority.certify_name(HOST, VALID_UNTIL));
        let origin = format!("https://{HOST}:{}", gate.port());
        server.change_settings(|settings| settings.realtime_origins = vec![origin]);
        Self {
            server,
            hosts: TempFile::new(&format!("127.0.0.1 {HOST}\n")),
            roots: TempFile::new(&authority.pem),
            authority,
            gate,
            proxies: Vec::new(),
        }
    }

    /// Starts a proxy that can resolve [`HOST`].
    fn proxy(&self, kind: Kind) -> Proxy {
        Proxy::start(kind, self.hosts.path())
    }

    /// Starts a client with these environment variables.
    fn client(&self, backend: Backend, variables: &[(&str, &str)]) -> Process {
        let host = format!("{HOST}:{}", self.gate.port());
        self.client_of(backend, &host, variables)
    }

    /// Starts a client whose API is at `host`.
    fn client_of(&self, backend: Backend, host: &str, variables: &[(&str, &str)]) -> Process {
        let (backend, origin) = (format!("{backend:?}"), format!("https://{host}"));
        let realtime = format!("{HOST}:{}", self.gate.port());
        let mut all = vec![
            (client::BACKEND, &*backend),
            (client::ORIGIN, &*origin),
            (client::HOST, &*realtime),
            ("SSL_CERT_FILE", self.roots.text()),
        ];
        all.extend(variables);
        Process::of_test(client::TEST, &all)
    }

    /// Asserts that the client delivers the existing events, and a new event that ends its held
    /// poll.
    #[track_caller]
    fn is_followed_by(&self, mut client: Process) {
        let known = self.server.emulator().events(TOKEN).len();
        client.says(&format!("event {known}"));
        client.says("listening");
        append(&self.server, 1);
        client.says(&format!("event {}", known + 1));
        assert!(self.server.counters().realtime.requests > 0);
    }
}

/// Asserts that the client reports `why` without the password, and recovers when an open proxy
/// takes the place of this one.
#[track_caller]
fn assert_reports_and_recovers(backend: Backend, kind: Kind, user: &str, why: &str) {
    let world = World::new();
    let proxy = world.proxy(kind);
    let url = format!("http://{user}127.0.0.1:{}", proxy.port());
    let mut client = world.client(backend, &[("https_proxy", &url)]);
    let said = client.says("retrying Some(Connect)");
    assert!(said.contains(why), "{said}");
    assert!(!said.contains("canary"), "{said}");
    assert_eq!(world.server.counters().total.requests, 0);

    let port = proxy.kill();
    client.says(&format!(
        "retrying Some(Connect): no response from Box: {UNREACHABLE}"
    ));
    let _proxy = Proxy::start_on(port, Kind::Open, world.hosts.path())
        .expect("the port of the killed proxy is free");
    world.is_followed_by(client);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
#[ignore = "needs tinyproxy and libnss-wrapper: .ci/run installs them"]
fn x13_a_stream_goes_through_the_environments_proxy(#[case] backend: Backend) {
    let world = World::new();
    let (open, closed) = (world.proxy(Kind::Open), world.proxy(Kind::WithPassword));
    let open = format!("http://127.0.0.1:{}", open.port());
    let without_scheme = &open["http://".len()..];
    let closed = format!("http://{USER}:{ENCODED}@127.0.0.1:{}", closed.port());
    // Desktop environments also set this value, which no library accepts.
    let unusable = ("ALL_PROXY", "socks://127.0.0.1:1/");
    for variables in [
        &[("HTTPS_PROXY", &*open)][..],
        &[("https_proxy", without_scheme)],
        &[("ALL_PROXY", &closed)],
        &[("HTTPS_PROXY", &open), unusable],
    ] {
        world.is_followed_by(world.client(backend, variables));
    }
}

#[cfg(any(feature = "isahc", feature = "reqwest-socks"))]
#[rstest]
#[cfg_attr(
    all(feature = "reqwest", feature = "reqwest-socks"),
    case::reqwest(Backend::Reqwest)
)]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
#[ignore = "needs microsocks and libnss-wrapper: .ci/run installs them"]
fn x13_a_stream_goes_through_a_socks_proxy(#[case] backend: Backend) {
    let world = World::new();
    let (open, closed) = (
        world.proxy(Kind::Socks),
        world.proxy(Kind::SocksWithPassword),
    );
    let (open, closed) = (open.port(), closed.port());
    let through = |url: String| world.client(backend, &[("ALL_PROXY", &url)]);
    world.is_followed_by(through(format!("socks5h://127.0.0.1:{open}")));
    world.is_followed_by(through(format!(
        "socks5h://{USER}:{ENCODED}@127.0.0.1:{closed}"
    )));

    let mut client = through(format!("socks5h://{USER}:{WRONG}@127.0.0.1:{closed}"));
    let said = client.says("retrying Some(Connect)");
    let why = "the SOCKS proxy refused the user and password";
    assert!(said.contains(why) && !said.contains("canary"), "{said}");

    // With the scheme `socks5` the client resolves the host name itself.
    let socks5 = format!("socks5://127.0.0.1:{open}");
    let mut client = through(socks5.clone());
    let said = client.says("retrying Some(Connect): no response from Box: could not connect");
    assert!(
        said.contains("resolve") && !said.contains("refused"),
        "{said}"
    );
    let [preload, hosts] = processes::resolving_with(world.hosts.text());
    world.is_followed_by(world.client(backend, &[("ALL_PROXY", &socks5), preload, hosts]));
}

#[cfg(feature = "reqwest")]
#[test]
#[ignore = "needs tinyproxy and libnss-wrapper: .ci/run installs them"]
fn x13_a_proxy_by_tls_is_used_if_it_is_trusted() {
    let (world, gate, url) = world_behind_tls();
    let client = || world.client(Backend::Reqwest, &[("HTTPS_PROXY", &url)]);
    world.is_followed_by(client());

    gate.renew(Authority::new().certify(VALID_UNTIL));
    let said = client().says("retrying Some(Tls)");
    assert!(
        said.contains("the proxy's certificate is not trusted"),
        "{said}"
    );
}

#[cfg(feature = "isahc")]
#[test]
#[ignore = "needs tinyproxy and libnss-wrapper: .ci/run installs them"]
fn x13_a_proxy_by_tls_that_curl_cannot_verify_is_refused() {
    let (world, _gate, url) = world_behind_tls();
    let mut client = world.client(Backend::Isahc, &[("HTTPS_PROXY", &url)]);
    let said = client.says("stopped Some(InvalidRequest)");
    assert!(said.contains("name an http:// proxy"), "{said}");
}

/// Returns a world with a proxy that speaks TLS, the gate that adds the TLS, and the URL of the
/// proxy.
fn world_behind_tls() -> (World, TlsGate, String) {
    let mut world = World::new();
    let proxy = world.proxy(Kind::Open);
    let address = ([127, 0, 0, 1], proxy.port()).into();
    world.proxies.push(proxy);
    let gate = TlsGate::before(address, world.authority.certify(VALID_UNTIL));
    let url = format!("https://localhost:{}", gate.port());
    (world, gate, url)
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
#[ignore = "needs tinyproxy and libnss-wrapper: .ci/run installs them"]
fn x13_a_password_that_a_proxy_refuses_is_named(#[case] backend: Backend) {
    let why = |status| format!("the proxy refused the user and password ({status})");
    assert_reports_and_recovers(backend, Kind::WithPassword, "", &why(407));
    // tinyproxy responds with 401 to a wrong password.
    let wrong = format!("{USER}:{WRONG}@");
    assert_reports_and_recovers(backend, Kind::WithPassword, &wrong, &why(401));
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
#[ignore = "needs tinyproxy and libnss-wrapper: .ci/run installs them"]
fn x13_a_host_that_a_proxy_refuses_is_named(#[case] backend: Backend) {
    let user = format!("{USER}:{PASSWORD}@");
    let why = "the proxy does not permit this host (403)";
    assert_reports_and_recovers(backend, Kind::Refusing, &user, why);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
#[ignore = "needs tinyproxy and libnss-wrapper: .ci/run installs them"]
fn x13_a_proxy_that_cannot_connect_is_named(#[case] backend: Backend) {
    let world = World::new();
    let proxy = world.proxy(Kind::Open);
    let url = format!("http://127.0.0.1:{}", proxy.port());
    let unused = format!("{HOST}:{}", free_port());
    let mut client = world.client_of(backend, &unused, &[("HTTPS_PROXY", &url)]);
    let said = client.says("retrying Some(Connect)");
    // Other proxies respond with 502 or 503.
    assert!(said.contains("the proxy could not connect (500)"), "{said}");
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x13_a_proxy_that_is_dead_is_named(#[case] backend: Backend) {
    let world = World::new();
    let dead = format!("http://{USER}:{PASSWORD}@127.0.0.1:{}", free_port());
    let mut client = world.client(backend, &[("HTTPS_PROXY", &dead)]);
    let said = client.says("retrying Some(Connect)");
    assert!(
        said.contains(UNREACHABLE) && !said.contains("canary"),
        "{said}"
    );

    let exempt = [("HTTPS_PROXY", &*dead), ("NO_PROXY", "box.test")];
    let mut client = world.client(backend, &exempt);
    let said = client.says("retrying Some(Connect)");
    assert!(
        !said.contains("proxy"),
        "the error must be of the host name: {said}"
    );
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x13_a_value_that_names_no_proxy_stops_the_stream(#[case] backend: Backend) {
    let world = World::new();
    for value in [
        "http://someone:pass canary@proxy.test:3128",
        "http://someone:pass#canary@proxy.test:3128",
        "http://someone:pass/canary@proxy.test:3128",
        "http://someone:pass@canary@proxy.test:3128",
        "ftp://someone:canary@proxy.test",
    ] {
        let mut client = world.client(backend, &[("https_proxy", value)]);
        let said = client.says("stopped Some(InvalidRequest)");
        assert!(said.contains("no proxy's URL"), "{value}: {said}");
        assert!(!said.contains("canary"), "{said}");

        let exempt = [("https_proxy", value), ("no_proxy", HOST)];
        let said = world
            .client(backend, &exempt)
            .says("retrying Some(Connect)");
        assert!(
            !said.contains("proxy"),
            "the error must be of the host name: {said}"
        );
    }
    assert_eq!(world.server.counters().total.requests, 0);
}

#[cfg(all(feature = "reqwest", not(feature = "reqwest-socks")))]
#[test]
fn x13_a_socks_proxy_stops_a_stream_that_has_no_socks() {
    let world = World::new();
    let url = format!("socks5h://{USER}:{PASSWORD}@127.0.0.1:{}", free_port());
    let mut client = world.client(Backend::Reqwest, &[("ALL_PROXY", &url)]);
    let said = client.says("stopped Some(InvalidRequest)");
    assert!(said.contains("feature reqwest-socks"), "{said}");
    assert!(!said.contains("canary"), "{said}");
}
