//! What the program takes in place of an access token.

use std::fs;
use std::path::PathBuf;

use box_longpoll_testkit::{Application, EmulatorServer, Settings};
use tempfile::TempDir;

use crate::program::{Ended, Tail};

const ID: &str = "the-client-id";
const SECRET: &str = "a-secret-that-nobody-may-see";
const ENTERPRISE: &str = "801234";
const USER: &str = "12345678";

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

    /// The program's end after two events, with the secret in its environment.
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

    #[track_caller]
    fn assert_follows(&self, account: &str, arguments: &[&str]) {
        let ended = self.tail(arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.ids(), self.server.event_ids(account));
        assert!(!format!("{ended:?}").contains(SECRET), "{ended:?}");
    }
}

#[test]
fn a_client_id_and_a_secret_follow_their_subject() {
    let world = World::new();
    let service_account = &format!("enterprise {ENTERPRISE}");
    let enterprise = ["--client-id", ID, "--subject", "enterprise:801234"];
    world.assert_follows(service_account, &enterprise);
    world.assert_follows(USER, &["--client-id", ID, "--subject", "user:12345678"]);
    world.assert_follows("4711", &[&enterprise[..], &["--as-user", "4711"]].concat());
}

#[test]
fn a_file_with_a_refresh_token_is_used_and_kept_up_to_date() {
    let world = World::new();
    let token = world.server.grant_refresh_token(ID, USER);
    let file = world.file("ada", &format!(r#"{{"refresh_token": "{token}"}}"#));
    let arguments = ["--client-id", ID, "--oauth-file", file.to_str().unwrap()];
    for _ in 0..2 {
        world.assert_follows(USER, &arguments);
        let kept = fs::read_to_string(&file).unwrap();
        assert!(
            kept.contains("access_token") && !kept.contains(&token),
            "{kept}"
        );
    }
    assert_eq!(world.server.counters().token.requests, 1);
}

/// Runs `openssl`, and returns its output. No key is kept: one in a repository is found by everybody who looks for leaked
/// keys.
#[cfg(feature = "jwt")]
#[track_caller]
fn openssl(arguments: &[&str]) -> String {
    let output = std::process::Command::new("openssl")
        .args(arguments)
        .output();
    let output = output.expect("the tests of keys run the program openssl");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[cfg(feature = "jwt")]
#[test]
fn the_configuration_of_boxs_developer_console_is_all_that_it_takes() {
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
fn what_does_not_pass_is_told_in_a_sentence_that_says_what_to_do() {
    let world = World::new();
    world
        .server
        .change_application(ID, |application| application.authorized = false);
    let ended = world.tail(&["--client-id", ID, "--subject", "enterprise:801234"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
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
fn a_part_that_is_missing_or_too_much_is_named() {
    for (arguments, sentence) in [
        (&["--client-id", ID][..], "--subject"),
        (&["--subject", "enterprise:1"], "--client-id"),
        (&["--oauth-file", "ada"], "--client-id"),
        (&["--client-id", ID, "--subject", "4711"], "user:ID"),
        (&["--client-id", ID, "--token", "a-token"], "--token"),
        (&["--client-id", "", "--subject", "user:1"], "client id"),
    ] {
        let ended = Tail::start_with(&[("BOX_CLIENT_SECRET", SECRET)], arguments).end();
        assert_eq!(ended.code, Some(2), "{arguments:?} {ended:?}");
        let said = ended.reports.join(" ");
        assert!(said.contains(sentence), "{said}");
    }
    let ended = Tail::start(&["--client-id", ID, "--subject", "user:1"]).end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.reports[0].contains("BOX_CLIENT_SECRET"), "{ended:?}");
}
