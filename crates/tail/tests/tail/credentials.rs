//! Tests of the credentials that the program accepts in place of an access token, against an
//! emulator that accepts only tokens that it issued itself.

use std::fs;
use std::path::PathBuf;

use box_longpoll_testkit::{Application, EmulatorServer, Settings};
use tempfile::TempDir;

use crate::program::{Ended, Tail};

const ID: &str = "the-client-id";
const SECRET: &str = "a-secret-that-nobody-may-see";
const ENTERPRISE: &str = "801234";
const USER: &str = "12345678";

/// An emulator with an application and three accounts, and a directory for files.
struct World {
    server: EmulatorServer,
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        let server = EmulatorServer::start_with(Settings {
            issued_tokens_only: true,
            ..Settings::default()
        });
        server.register(Application::new(ID, SECRET, ENTERPRISE));
        for account in [&format!("enterprise {ENTERPRISE}"), USER, "4711"] {
            server.append(account, 2);
        }
        Self {
            server,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.directory.path().join(name);
        fs::write(&file, text).unwrap();
        file
    }

    /// Runs the program for two events, with the secret in its environment.
    fn tail(&self, arguments: &[&str]) -> Ended {
        let common = [
            "--api",
            self.server.origin(),
            "--from",
            "oldest",
            "--count",
            "2",
            "--json",
        ];
        let environment = [("BOX_CLIENT_SECRET", SECRET)];
        Tail::start_with(&environment, &[&common, arguments].concat()).end()
    }

    /// Asserts that the program with these arguments gets the events of the account.
    #[track_caller]
    fn assert_follows(&self, account: &str, arguments: &[&str]) {
        let ended = self.tail(arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.ids(), self.server.event_ids(account));
        assert!(!format!("{ended:?}").contains(SECRET), "{ended:?}");
    }
}

#[test]
fn client_credentials_follow_their_subject() {
    let world = World::new();
    let service_account = &format!("enterprise {ENTERPRISE}");
    let enterprise = ["--client-id", ID, "--subject", "enterprise:801234"];
    world.assert_follows(service_account, &enterprise);
    world.assert_follows(USER, &["--client-id", ID, "--subject", "user:12345678"]);
    world.assert_follows("4711", &[&enterprise[..], &["--as-user", "4711"]].concat());
}

#[test]
fn refresh_token_file_is_used_and_updated() {
    let world = World::new();
    let token = world.server.grant_refresh_token(ID, USER);
    let file = world.file("ada", &format!(r#"{{"refresh_token": "{token}"}}"#));
    let arguments = ["--client-id", ID, "--oauth-file", file.to_str().unwrap()];
    for _ in 0..2 {
        world.assert_follows(USER, &arguments);
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("access_token") && !text.contains(&token),
            "{text}"
        );
    }
    assert_eq!(world.server.counters().token.requests, 1);
}

/// Runs `openssl`, and returns its output. The repository contains no private key, because scanners
/// for leaked keys would report it.
#[cfg(feature = "jwt")]
#[track_caller]
fn openssl(arguments: &[&str]) -> String {
    let output = std::process::Command::new("openssl")
        .args(arguments)
        .output();
    let output = output.expect("the tests of keys need the program openssl");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[cfg(feature = "jwt")]
#[test]
fn jwt_configuration_file_is_sufficient() {
    const PASSPHRASE: &str = "the-passphrase-of-the-test";
    const TRIPLE_DES: [&str; 5] = ["-topk8", "-v2", "des3", "-v2prf", "hmacWithSHA1"];

    let world = World::new();
    let key = openssl(&["genpkey", "-algorithm", "RSA"]);
    let key = world.file("key.pem", &key);
    let key = ["-in", key.to_str().unwrap()];
    let public_key = openssl(&[&["pkey", "-pubout"], &key[..]].concat());
    let passphrase = ["-passout", &format!("pass:{PASSPHRASE}")];
    let private_key = openssl(&[&["pkcs8"], &TRIPLE_DES[..], &passphrase, &key].concat());
    world.server.change_application(ID, |application| {
        let key = ("k1".to_owned(), public_key);
        application.public_keys.extend([key]);
    });
    let configuration = serde_json::json!({
        "boxAppSettings": {
            "clientID": ID,
            "clientSecret": SECRET,
            "appAuth": {
                "publicKeyID": "k1",
                "privateKey": private_key,
                "passphrase": PASSPHRASE,
            },
        },
        "enterpriseID": ENTERPRISE,
    });
    let file = world.file("config.json", &configuration.to_string());
    let file = file.to_str().unwrap();
    world.assert_follows(&format!("enterprise {ENTERPRISE}"), &["--jwt-config", file]);
    world.assert_follows(USER, &["--jwt-config", file, "--subject", "user:12345678"]);
}

#[test]
fn permanent_failure_is_reported_with_a_remedy() {
    let world = World::new();
    world
        .server
        .change_application(ID, |application| application.authorized = false);
    let ended = world.tail(&["--client-id", ID, "--subject", "enterprise:801234"]);
    assert_eq!(ended.code, Some(77), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert!(
        last.contains("an administrator has to authorize it"),
        "{last}"
    );
    assert!(last.contains("--from oldest"), "{last}");

    let file = world.file("ada", "not a credential");
    let ended = world.tail(&["--client-id", ID, "--oauth-file", file.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.reports[0].contains("ada"), "{ended:?}");
}

#[test]
fn missing_or_conflicting_argument_is_named() {
    for (arguments, word) in [
        (&["--client-id", ID][..], "--subject"),
        (&["--subject", "enterprise:1"], "--client-id"),
        (&["--oauth-file", "ada"], "--client-id"),
        (&["--client-id", ID, "--subject", "4711"], "user:ID"),
        (&["--client-id", ID, "--token", "a-token"], "--token"),
        (&["--client-id", "", "--subject", "user:1"], "client id"),
    ] {
        let ended = Tail::start_with(&[("BOX_CLIENT_SECRET", SECRET)], arguments).end();
        assert_eq!(ended.code, Some(2), "{arguments:?} {ended:?}");
        let text = ended.reports.join(" ");
        assert!(text.contains(word), "{text}");
    }
    let ended = Tail::start(&["--client-id", ID, "--subject", "user:1"]).end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.reports[0].contains("BOX_CLIENT_SECRET"), "{ended:?}");
}
