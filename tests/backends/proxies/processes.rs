//! The processes of a test: a proxy, and a client behind it.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// The user and the password that a proxy with a password takes.
pub(crate) const USER: &str = "someone";
pub(crate) const PASSWORD: &str = "pass-canary";

/// The mark before each sentence of a process, among the lines of the test harness.
pub(crate) const SAYS: &str = "SAYS ";

/// A proxy is given so many moments to accept connections.
const MOMENTS: usize = 3_000;
const MOMENT: Duration = Duration::from_millis(10);

/// Which proxy runs, and what it permits.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(any(feature = "isahc", feature = "reqwest-socks")),
    expect(dead_code, reason = "no backend of this build speaks SOCKS")
)]
pub(crate) enum Kind {
    /// An HTTP proxy for everybody.
    Open,
    /// An HTTP proxy that wants a password.
    WithPassword,
    /// An HTTP proxy that permits another host alone.
    Refusing,
    /// A SOCKS proxy for everybody.
    Socks,
    /// A SOCKS proxy that wants a password.
    SocksWithPassword,
}

/// A proxy that runs until this is dropped.
pub(crate) struct Proxy {
    process: Killed,
    port: u16,
    _settings: TempDir,
}

impl Proxy {
    /// Starts a proxy on a free port. It knows the names in the file `hosts`.
    pub(crate) fn start(kind: Kind, hosts: &Path) -> Self {
        // Another process may take a free port before the proxy does.
        let mut starts = (0..5).filter_map(|_| Self::start_on(free_port(), kind, hosts));
        starts.next().expect("one of five ports is free")
    }

    /// Starts a proxy on this port. `None`: it ended.
    pub(crate) fn start_on(port: u16, kind: Kind, hosts: &Path) -> Option<Self> {
        let settings = tempfile::tempdir().unwrap();
        let mut command = match kind {
            Kind::Socks | Kind::SocksWithPassword => microsocks(port, kind),
            _ => tinyproxy(port, kind, settings.path()),
        };
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let started = command
            .envs(knowing(hosts.to_str().expect("a path in UTF-8")))
            .spawn();
        let mut process = Killed(started.unwrap_or_else(|error| {
            panic!("tinyproxy-bin, microsocks or libnss-wrapper is missing: {error}")
        }));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        for _ in 0..MOMENTS {
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
            a_moment();
        }
        panic!("{kind:?} accepts no connection");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills the proxy, and returns its port, which nobody listens at any more.
    pub(crate) fn kill(self) -> u16 {
        drop(self.process);
        self.port
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "microsocks does not say when it listens"
)]
fn a_moment() {
    thread::sleep(MOMENT);
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

/// A port that nobody listens at.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// The environment variables by which a process knows the names in the file `hosts`.
pub(crate) fn knowing(hosts: &str) -> [(&str, &str); 2] {
    [
        ("LD_PRELOAD", "libnss_wrapper.so"),
        ("NSS_WRAPPER_HOSTS", hosts),
    ]
}

/// A process that is killed when this is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A test of this binary that runs in a process of its own, and says what happens to it.
pub(crate) struct Process {
    _process: Killed,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

impl Process {
    /// Runs a test with these environment variables, and with none of this process that name a proxy or certificates.
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
            _process: Killed(child),
            lines,
            said: Vec::new(),
        }
    }

    /// Waits until the process says something that begins like this.
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
        panic!("not {beginning:?}, but {:#?}", self.said);
    }
}

/// A file in a directory of its own.
pub(crate) struct Written {
    _directory: TempDir,
    path: PathBuf,
}

impl Written {
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

    /// The path, for an environment variable.
    pub(crate) fn text(&self) -> &str {
        self.path.to_str().expect("a path in UTF-8")
    }
}
