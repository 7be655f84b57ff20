//! The processes of a test: a proxy, and a client behind it.
//!
//! Start at [`Proxy`] and [`Process`].

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// The user that a proxy with a password accepts.
pub(crate) const USER: &str = "someone";
/// The password that a proxy with a password accepts.
pub(crate) const PASSWORD: &str = "pass-canary";

/// The prefix of the lines that a process reports. The test harness prints other lines.
pub(crate) const SAYS: &str = "SAYS ";

/// The number of attempts to connect to a proxy after its start: 30 s in total.
const CHECKS: usize = 3_000;

/// The time between two attempts.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// The kind of a proxy.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(any(feature = "isahc", feature = "reqwest-socks")),
    expect(dead_code, reason = "no backend of this build speaks SOCKS")
)]
pub(crate) enum Kind {
    /// An HTTP proxy that permits everything.
    Open,
    /// An HTTP proxy that requires a password.
    WithPassword,
    /// An HTTP proxy that permits only a host that no test uses.
    Refusing,
    /// A SOCKS proxy that permits everything.
    Socks,
    /// A SOCKS proxy that requires a password.
    SocksWithPassword,
}

/// A running proxy. It is killed on drop.
pub(crate) struct Proxy {
    process: KilledOnDrop,
    port: u16,
    _settings: TempDir,
}

impl Proxy {
    /// Starts a proxy on a free port. It can resolve the names in the file `hosts`.
    pub(crate) fn start(kind: Kind, hosts: &Path) -> Self {
        // Another process may take a free port before the proxy does.
        let mut starts = (0..5).filter_map(|_| Self::start_on(free_port(), kind, hosts));
        starts.next().expect("one of five ports is free")
    }

    /// Starts a proxy on this port. Returns `None` if the process ends, for example because the
    /// port is in use.
    pub(crate) fn start_on(port: u16, kind: Kind, hosts: &Path) -> Option<Self> {
        let settings = tempfile::tempdir().unwrap();
        let mut command = match kind {
            Kind::Socks | Kind::SocksWithPassword => microsocks(port, kind),
            _ => tinyproxy(port, kind, settings.path()),
        };
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let started = command
            .envs(resolving_with(hosts.to_str().expect("a path in UTF-8")))
            .spawn();
        let mut process = KilledOnDrop(started.unwrap_or_else(|error| {
            panic!("tinyproxy-bin, microsocks or libnss-wrapper is missing: {error}")
        }));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        for _ in 0..CHECKS {
            if process.0.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(address).is_ok() {
                return Some(Self {
                    process,
                    port,
                    _settings: settings,
                });
            }
            pause();
        }
        panic!("the proxy accepts no connection: {kind:?}");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills the proxy and returns its port.
    pub(crate) fn kill(self) -> u16 {
        drop(self.process);
        self.port
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "microsocks does not report when it listens"
)]
fn pause() {
    thread::sleep(CHECK_INTERVAL);
}

fn tinyproxy(port: u16, kind: Kind, directory: &Path) -> Command {
    let mut settings = format!("Port {port}\nListen 127.0.0.1\nTimeout 600\n");
    if let Kind::WithPassword = kind {
        settings += &format!("BasicAuth {USER} {PASSWORD}\n");
    }
    if let Kind::Refusing = kind {
        let permitted = directory.join("permitted");
        fs::write(&permitted, "^other\\.test$\n").unwrap();
        let permitted = permitted.display();
        settings += &format!("Filter \"{permitted}\"\nFilterDefaultDeny Yes\n");
    }
    let path = directory.join("tinyproxy.conf");
    fs::write(&path, settings).unwrap();
    let mut command = Command::new("tinyproxy");
    command.arg("-d").arg("-c").arg(path);
    command
}

fn microsocks(port: u16, kind: Kind) -> Command {
    let mut command = Command::new("microsocks");
    command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
    if let Kind::SocksWithPassword = kind {
        command.args(["-u", USER, "-P", PASSWORD]);
    }
    command
}

/// Returns a port on which no process listens.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Returns the environment variables with which a process can resolve the names in the file
/// `hosts`.
pub(crate) fn resolving_with(hosts: &str) -> [(&str, &str); 2] {
    [
        ("LD_PRELOAD", "libnss_wrapper.so"),
        ("NSS_WRAPPER_HOSTS", hosts),
    ]
}

/// A process that is killed on drop.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A test of this binary that runs in its own process and reports its progress.
pub(crate) struct Process {
    _process: KilledOnDrop,
    lines: Lines<BufReader<ChildStdout>>,
    /// The lines that the process has reported so far.
    said: Vec<String>,
}

impl Process {
    /// Runs a test with these environment variables. It does not inherit variables that name a
    /// proxy or certificates.
    pub(crate) fn of_test(test: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--include-ignored", "--nocapture"]);
        for (name, _) in env::vars_os() {
            let upper = name.to_string_lossy().to_ascii_uppercase();
            if upper.ends_with("_PROXY") || upper.starts_with("SSL_CERT_") {
                command.env_remove(name);
            }
        }
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            _process: KilledOnDrop(child),
            lines,
            said: Vec::new(),
        }
    }

    /// Waits until the process reports a line that starts with `beginning`, and returns the line.
    #[track_caller]
    pub(crate) fn says(&mut self, beginning: &str) -> String {
        for line in self.lines.by_ref() {
            if let Some((_, said)) = line.unwrap().split_once(SAYS) {
                self.said.push(said.to_owned());
                if said.starts_with(beginning) {
                    return said.to_owned();
                }
            }
        }
        panic!("the process did not report {beginning:?}: {:#?}", self.said);
    }
}

/// A temporary file. It is deleted on drop.
pub(crate) struct TempFile {
    _directory: TempDir,
    path: PathBuf,
}

impl TempFile {
    pub(crate) fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, text).unwrap();
        Self {
            _directory: directory,
            path,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path as text, for an environment variable.
    pub(crate) fn text(&self) -> &str {
        self.path.to_str().expect("a path in UTF-8")
    }
}
