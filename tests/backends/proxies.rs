//! Clients behind real proxies of Debian's packages: tinyproxy speaks HTTP, and microsocks speaks SOCKS.
//!
//! The fake Box has a name that nobody knows but the proxies, so a request that goes past the proxy fails. Each client is a
//! process of its own, whose environment names the proxy. surf uses none: see `tests/surf.rs`.

mod client;
mod processes;

use std::sync::Arc;

use box_longpoll_testkit::EmulatorServer;
use rstest::rstest;

use self::processes::{Kind, PASSWORD, Process, Proxy, USER, Written, free_port};
use crate::backend::Backend;
use crate::fake_box::{TOKEN, fake_box};
use crate::gate::TlsGate;
use crate::tls::{Authority, LATE};
use crate::trial::append;

/// The name of the fake Box.
const HOST: &str = "api.box.test";

/// [`PASSWORD`], as a URL may have it.
const ENCODED: &str = "%70ass-canary";

const WRONG: &str = "wrong-canary";

const UNREACHABLE: &str = "could not connect: the proxy cannot be reached";

/// A fake Box with three events, by TLS.
struct World {
    server: Arc<EmulatorServer>,
    authority: Authority,
    gate: TlsGate,
    hosts: Written,
    roots: Written,
    /// Proxies that run as long as the world.
    proxies: Vec<Proxy>,
}

impl World {
    fn new() -> Self {
        let authority = Authority::new();
        let server = fake_box(|_| ());
        append(&server, 3);
        let gate = TlsGate::new(&server, authority.certify_name(HOST, LATE));
        let origin = format!("https://{HOST}:{}", gate.port());
        server.change_settings(|settings| settings.realtime_origins = vec![origin]);
        Self {
            server,
            hosts: Written::new(&format!("127.0.0.1 {HOST}\n")),
            roots: Written::new(&authority.pem),
            authority,
            gate,
            proxies: Vec::new(),
        }
    }

    fn proxy(&self, kind: Kind) -> Proxy {
        Proxy::start(kind, self.hosts.path())
    }

    /// A client that has these environment variables.
    fn client(&self, backend: Backend, variables: &[(&str, &str)]) -> Process {
        let host = format!("{HOST}:{}", self.gate.port());
        self.client_of(backend, &host, variables)
    }

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

    /// The client brings what there is, and hears at a held poll of what happens then.
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

/// The client says what is wrong and never the password. It goes on when the proxy does what it should.
#[track_caller]
fn says_and_goes_on(backend: Backend, kind: Kind, user: &str, why: &str) {
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
    let _proxy = Proxy::start_on(port, Kind::Open, world.hosts.path()).expect("its port is free");
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
    // Desktops set this one, which no library takes, beside the others.
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

    // With this scheme the client looks up the name.
    let socks5 = format!("socks5://127.0.0.1:{open}");
    let mut client = through(socks5.clone());
    let said = client.says("retrying Some(Connect): no response from Box: could not connect");
    assert!(!said.contains("the proxy"), "{said}");
    let [preload, hosts] = processes::knowing(world.hosts.text());
    world.is_followed_by(world.client(backend, &[("ALL_PROXY", &socks5), preload, hosts]));
}

#[cfg(feature = "reqwest")]
#[test]
#[ignore = "needs tinyproxy and libnss-wrapper: .ci/run installs them"]
fn x13_a_proxy_by_tls_is_used_if_it_is_trusted() {
    let (world, gate, url) = world_behind_tls();
    let client = || world.client(Backend::Reqwest, &[("HTTPS_PROXY", &url)]);
    world.is_followed_by(client());

    gate.renew(Authority::new().certify(LATE));
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

/// A world, and the URL of a proxy in it that speaks TLS, through a gate.
fn world_behind_tls() -> (World, TlsGate, String) {
    let mut world = World::new();
    let proxy = world.proxy(Kind::Open);
    let address = ([127, 0, 0, 1], proxy.port()).into();
    world.proxies.push(proxy);
    let gate = TlsGate::before(address, world.authority.certify(LATE));
    let url = format!("https://localhost:{}", gate.port());
    (world, gate, url)
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
#[ignore = "needs tinyproxy and libnss-wrapper: .ci/run installs them"]
fn x13_a_password_that_a_proxy_refuses_is_named(#[case] backend: Backend) {
    let why = |status| format!("the proxy refused the user and password ({status})");
    says_and_goes_on(backend, Kind::WithPassword, "", &why(407));
    // tinyproxy responds like this to a wrong one.
    let wrong = format!("{USER}:{WRONG}@");
    says_and_goes_on(backend, Kind::WithPassword, &wrong, &why(401));
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
#[ignore = "needs tinyproxy and libnss-wrapper: .ci/run installs them"]
fn x13_a_host_that_a_proxy_refuses_is_named(#[case] backend: Backend) {
    let user = format!("{USER}:{PASSWORD}@");
    let why = "the proxy does not permit this host (403)";
    says_and_goes_on(backend, Kind::Refusing, &user, why);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
#[ignore = "needs tinyproxy and libnss-wrapper: .ci/run installs them"]
fn x13_a_proxy_that_cannot_connect_is_named(#[case] backend: Backend) {
    let world = World::new();
    let proxy = world.proxy(Kind::Open);
    let url = format!("http://127.0.0.1:{}", proxy.port());
    let nobody = format!("{HOST}:{}", free_port());
    let mut client = world.client_of(backend, &nobody, &[("HTTPS_PROXY", &url)]);
    let said = client.says("retrying Some(Connect)");
    // Other proxies say 502 or 503.
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
    assert!(!said.contains("proxy"), "the name is not known: {said}");
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
        assert!(!said.contains("proxy"), "the name is not known: {said}");
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
