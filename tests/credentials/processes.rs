//! Tests of processes that share a user's credential, or that are killed while they exchange it.
//!
//! Each process is this program, which runs one ignored test.

use std::env;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::auth::TokenError;
use box_longpoll::auth::{
    Credential, CredentialFile, CredentialStore, LockedCredential, RefreshToken, RefreshedTokens,
    TokenErrorKind,
};
use box_longpoll::transport::{TransportError, TransportRequest};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{HttpTransport, StartAt, TokenSource as _};
use box_longpoll_testkit::{EmulatorServer, Endpoint};
use bytes::Bytes;
use http::Response;
use rustix::process::{Signal, getpid, kill_process};
use tempfile::TempDir;

use crate::sockets::{builder, fake_box};
use crate::world::{CLIENT_ID, SECRET, USER};

const ORIGIN: &str = "CREDENTIALS_TEST_ORIGIN";
const FILE: &str = "CREDENTIALS_TEST_FILE";
const DIES_AT: &str = "CREDENTIALS_TEST_DIES_AT";

/// A fake Box, and the credential file of a user who has authorized the application.
struct World {
    server: EmulatorServer,
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self {
            server: fake_box(),
            directory: tempfile::tempdir().unwrap(),
        };
        let token = world.server.grant_refresh_token(CLIENT_ID, USER);
        CredentialFile::create(world.file(), &Credential::new(token).unwrap()).unwrap();
        world
    }

    fn file(&self) -> std::path::PathBuf {
        self.directory.path().join("credential")
    }

    /// Starts another process, which runs one test of this program.
    fn run(&self, test: &str, dies_at: u32) -> Child {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(ORIGIN, self.server.origin())
            .env(FILE, self.file())
            .env(DIES_AT, dies_at.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap()
    }

    fn exchanges(&self) -> usize {
        let requests = self.server.requests();
        let exchanges = requests
            .iter()
            .filter(|request| request.endpoint == Endpoint::Token);
        exchanges.count()
    }
}

fn oauth(file: &Path, origin: &str) -> RefreshToken {
    let store = CredentialFile::open(file).unwrap();
    RefreshToken::new(CLIENT_ID, SECRET, store).api_origin(origin)
}

/// The step of an exchange at which the process kills itself.
struct Death {
    /// The number of that step, from 1. The process survives if this is 0.
    at: u32,
    /// The number of steps so far.
    step: AtomicU32,
}

impl Death {
    fn may_come(&self) {
        if self.step.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            kill_process(getpid(), Signal::KILL).unwrap();
            // This thread does nothing more before the signal arrives.
            loop {
                std::thread::park();
            }
        }
    }
}

/// A wrapper that may kill the process before and after each call of the inner value.
struct Mortal<T>(T, Arc<Death>);

#[async_trait]
impl HttpTransport for Mortal<ReqwestTransport> {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        self.1.may_come();
        let response = self.0.send(request).await;
        self.1.may_come();
        response
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.0.sleep(duration).await
    }
}

#[async_trait]
impl CredentialStore for Mortal<CredentialFile> {
    async fn lock(&self) -> Result<Box<dyn LockedCredential>, TokenError> {
        self.1.may_come();
        let locked = self.0.lock().await?;
        self.1.may_come();
        Ok(Box::new(Mortal(locked, self.1.clone())))
    }
}

#[async_trait]
impl LockedCredential for Mortal<Box<dyn LockedCredential>> {
    async fn load(&mut self) -> Result<Credential, TokenError> {
        let credential = self.0.load().await;
        self.1.may_come();
        credential
    }

    async fn save(&mut self, credential: &Credential) -> Result<(), TokenError> {
        self.1.may_come();
        let saved = self.0.save(credential).await;
        self.1.may_come();
        saved
    }
}

fn variable(name: &str) -> String {
    env::var(name).expect("another test runs this one")
}

#[tokio::test]
#[ignore = "another test runs it in a process of its own"]
async fn a_process_that_exchanges_a_token_and_may_die() {
    let death = Arc::new(Death {
        at: variable(DIES_AT).parse().unwrap(),
        step: AtomicU32::new(0),
    });
    let store = CredentialFile::open(variable(FILE)).unwrap();
    let transport = Mortal(ReqwestTransport::new().unwrap(), death.clone());
    let tokens = RefreshToken::new(CLIENT_ID, SECRET, Mortal(store, death.clone()))
        .api_origin(variable(ORIGIN))
        .tokens(transport)
        .unwrap();
    tokens.token(None).await.unwrap();
    death.may_come();
}

/// The state in which the next process finds the credential.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    /// The killed process has not exchanged the refresh token, and the next process does.
    TheOldToken,
    /// The refresh token was exchanged, and the file has the new one.
    TheNewToken,
    /// Box has exchanged the refresh token, and no process has saved the response.
    ReauthorizationRequired,
}
use Left::{ReauthorizationRequired, TheNewToken, TheOldToken};

#[tokio::test]
async fn killed_exchange_leaves_a_credential_or_a_reason_for_none() {
    let mut left = Vec::new();
    loop {
        let world = World::new();
        let dies_at = u32::try_from(left.len()).unwrap() + 1;
        let child = "processes::a_process_that_exchanges_a_token_and_may_die";
        let status = world.run(child, dies_at).wait().unwrap();
        if status.success() {
            break;
        }
        assert_killed(status);
        let before = world.exchanges();
        let tokens = oauth(&world.file(), world.server.origin())
            .tokens(ReqwestTransport::new().unwrap())
            .unwrap();
        left.push(match tokens.token(None).await {
            Ok(_) if world.exchanges() == before => TheNewToken,
            Ok(_) => TheOldToken,
            Err(error) => {
                assert_eq!(error.kind(), TokenErrorKind::ReauthorizationRequired);
                assert!(error.to_string().contains("was lost"), "{error}");
                ReauthorizationRequired
            }
        });
        if left.last() != Some(&ReauthorizationRequired) {
            assert_works(&world, tokens).await;
        }
    }
    let [lock, locked, loaded, saving, saved, sending] = [TheOldToken; 6];
    let [responded, keeping] = [ReauthorizationRequired; 2];
    let [kept, used] = [TheNewToken; 2];
    assert_eq!(
        left,
        [
            lock, locked, loaded, saving, saved, sending, responded, keeping, kept, used
        ]
    );
}

#[cfg(unix)]
#[track_caller]
fn assert_killed(status: ExitStatus) {
    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(status.signal(), Some(9), "{status}");
}

/// Asserts that the credential gives tokens, now and after the next exchange.
async fn assert_works(world: &World, tokens: RefreshedTokens) {
    let token = tokens.token(None).await.unwrap();
    tokens.token(Some(&token)).await.unwrap();
    let transport = ReqwestTransport::new().unwrap();
    let client = builder(&world.server).build(transport, tokens).unwrap();
    client.fetch(StartAt::Now).await.unwrap();
}

#[tokio::test]
async fn outcome_in_the_new_file_is_used_only_when_it_is_complete() {
    let world = World::new();
    let new = world.directory.path().join("credential.new");
    let token = || async {
        let tokens = oauth(&world.file(), world.server.origin());
        let tokens = tokens.tokens(ReqwestTransport::new().unwrap()).unwrap();
        tokens.token(None).await
    };
    let mut exchanging: serde_json::Value =
        serde_json::from_slice(&std::fs::read(world.file()).unwrap()).unwrap();
    exchanging["exchanging_since"] = "2026-01-01T00:00:00Z".into();
    token().await.unwrap();
    let outcome = std::fs::read(world.file()).unwrap();
    for length in (0..outcome.len()).step_by(7) {
        std::fs::write(world.file(), exchanging.to_string()).unwrap();
        std::fs::write(&new, &outcome[..length]).unwrap();
        let error = token().await.unwrap_err();
        assert_eq!(
            error.kind(),
            TokenErrorKind::ReauthorizationRequired,
            "{length} bytes"
        );
    }
    std::fs::write(world.file(), exchanging.to_string()).unwrap();
    std::fs::write(&new, &outcome).unwrap();
    let before = world.exchanges();
    token().await.unwrap();
    assert_eq!(world.exchanges(), before);
    assert!(std::fs::read(world.file()).unwrap() == outcome);
}

/// The number of newer tokens that each process gets.
const REFRESHES: usize = 4;

#[tokio::test]
#[ignore = "another test runs it in a process of its own"]
async fn a_process_that_uses_a_shared_credential() {
    let (file, origin) = (variable(FILE), variable(ORIGIN));
    let transport = ReqwestTransport::new().unwrap();
    let tokens = oauth(Path::new(&file), &origin)
        .tokens(transport.clone())
        .unwrap();
    let mut seen = vec![tokens.token(None).await.unwrap()];
    for _ in 0..REFRESHES {
        let rejected = seen.last().expect("it starts with one");
        let newer = tokens.token(Some(rejected)).await.unwrap();
        assert!(!seen.contains(&newer));
        seen.push(newer);
    }
}

#[test]
fn processes_that_share_a_file_never_reuse_a_refresh_token() {
    const PROCESSES: usize = 3;
    let world = World::new();
    let child = "processes::a_process_that_uses_a_shared_credential";
    let children: Vec<_> = (0..PROCESSES).map(|_| world.run(child, 0)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let refused = world.server.requests();
    let refused = refused.iter().filter(|request| request.refusal.is_some());
    assert_eq!(refused.count(), 0);
    // The first refresh token is exchanged too.
    let exchanges = world.exchanges();
    assert!(
        (REFRESHES..=1 + PROCESSES * REFRESHES).contains(&exchanges),
        "{exchanges} exchanges"
    );
}

#[test]
#[cfg(unix)]
fn file_is_only_for_its_owner_after_an_exchange() {
    use std::os::unix::fs::PermissionsExt;

    let world = World::new();
    let mode = || world.file().metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(world.file(), PermissionsExt::from_mode(0o644)).unwrap();
    let child = "processes::a_process_that_exchanges_a_token_and_may_die";
    assert!(world.run(child, 0).wait().unwrap().success());
    assert_eq!(mode(), 0o600);
    let names = std::fs::read_dir(world.directory.path()).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["credential", "credential.lock"]);
}

#[test]
fn invalid_file_is_an_error_that_names_it_and_hides_its_text() {
    let world = World::new();
    for text in [
        "",
        "canary",
        r#"{"refresh_token":7,"x":"canary"}"#,
        r#"{"refresh_token":""}"#,
    ] {
        std::fs::write(world.file(), text).unwrap();
        let error = CredentialFile::open(world.file()).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(
            said.contains("credential") && !said.contains("canary"),
            "{said}"
        );
        assert_eq!(error.kind(), TokenErrorKind::Permanent);
    }
    let error = CredentialFile::create(world.file(), &Credential::new("canary").unwrap());
    let said = format!("{:?}", error.unwrap_err());
    assert!(
        said.contains("exists") && !said.contains("canary"),
        "{said}"
    );
    let missing = CredentialFile::open(world.directory.path().join("missing"));
    assert!(missing.unwrap_err().to_string().contains("missing"));
}
