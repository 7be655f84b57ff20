//! Tests of the configuration file, of the variables `BOX_TAIL_…`, and of the command `check`.

use std::fs;
use std::path::PathBuf;

use box_longpoll_testkit::EmulatorServer;
use tempfile::TempDir;

use crate::program::{Ended, TOKEN, Tail};

/// A directory with a configuration file, which other users can't read.
struct Configuration {
    _directory: TempDir,
    path: PathBuf,
}

impl Configuration {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tail.toml");
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o640);
        Self {
            _directory: directory,
            path,
        }
    }

    fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Runs `check` with this file, and asserts that it finds no mistake. Returns the settings.
    #[track_caller]
    fn check(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Vec<String> {
        let arguments = [&["check", "--config", self.name()], arguments].concat();
        let ended = Tail::start_with(environment, &arguments).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.events
    }

    /// Runs `follow` with this file, and asserts that the file is refused with this error.
    #[track_caller]
    fn assert_refused(&self, line: usize, text: &str) {
        for command in ["follow", "check"] {
            let ended = Tail::start(&[command, "--config", self.name()]).end_without_events();
            let expected = format!("error: {}:{line}: {text}", self.name());
            assert_eq!(ended.code, Some(2), "{ended:?}");
            assert_eq!(ended.reports[0], expected);
        }
    }
}

#[cfg(unix)]
fn set_mode(path: &PathBuf, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;

    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_path: &PathBuf, _mode: u32) {}

#[track_caller]
fn assert_has(settings: &[String], line: &str) {
    assert!(
        settings.iter().any(|it| it == line),
        "{line} in {settings:?}"
    );
}

#[track_caller]
fn assert_lacks(settings: &[String], name: &str) {
    let begins = |line: &String| line.starts_with(&format!("{name} = "));
    assert!(!settings.iter().any(begins), "{name} in {settings:?}");
}

#[test]
fn program_follows_with_the_options_of_a_file() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 7);
    let file = Configuration::new(&format!(
        "api = {:?}\ntoken = {TOKEN:?}\nfrom = \"oldest\"\njson = true\ncount = 3\n",
        server.origin()
    ));
    for arguments in [
        &["--config", file.name()][..],
        &["follow", "--config", file.name()],
    ] {
        let ended = Tail::start(arguments).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.ids(), server.event_ids(TOKEN)[..3]);
    }
    let environment = [("BOX_TAIL_CONFIG", file.name()), ("BOX_TAIL_COUNT", "2")];
    let ended = Tail::start_with(&environment, &[]).end();
    assert_eq!(ended.ids(), server.event_ids(TOKEN)[..2]);
}

#[test]
fn check_lists_each_setting_with_its_origin() {
    let server = EmulatorServer::start();
    let file = Configuration::new(&format!(
        "# a comment\n\ntoken = {TOKEN:?}\napi = {:?}\ntype = [\"ITEM_UPLOAD\", \"ITEM_TRASH\"]\n\
         user = [11446498, \"7\"]\ncount = 30\nfolder = \"4711\"\njson = true\n",
        server.origin()
    ));
    let environment = [("BOX_TAIL_COUNT", "20"), ("BOX_TAIL_ITEM", "5, 6")];
    let settings = file.check(&environment, &["--folder", "8", "--from", "oldest"]);
    let name = file.name();
    for line in [
        format!("token = \"(set)\"  # {name}:3"),
        format!("api = \"{}/\"  # {name}:4", server.origin()),
        format!("type = [\"ITEM_UPLOAD\", \"ITEM_TRASH\"]  # {name}:5"),
        format!("user = [\"11446498\", \"7\"]  # {name}:6"),
        "count = \"20\"  # BOX_TAIL_COUNT".to_owned(),
        "item = [\"5\", \"6\"]  # BOX_TAIL_ITEM".to_owned(),
        "folder = \"8\"  # command line".to_owned(),
        "from = \"oldest\"  # command line".to_owned(),
        format!("json = true  # {name}:9"),
        "# stream-type = \"all\"  # default".to_owned(),
    ] {
        assert_has(&settings, &line);
    }
    assert!(settings[0].contains("the events of a user"), "{settings:?}");
    assert!(!settings.concat().contains(TOKEN), "{settings:?}");
    assert!(server.requests().is_empty());
}

#[test]
fn check_lists_settings_that_a_file_may_have() {
    let file = Configuration::new(&format!(
        "token = {TOKEN:?}\nenterprise = true\nsince = 2026-11-30\ntype = \"LOGIN\"\n"
    ));
    let first = file.check(&[], &[]);
    assert!(
        first[0].contains("the events of an enterprise"),
        "{first:?}"
    );
    let token = ["token", "token-file"].map(|name| format!("{name} = "));
    let is_token = |line: &&String| token.iter().any(|name| line.starts_with(name));
    let kept: Vec<_> = first
        .iter()
        .filter(|line| !is_token(line))
        .cloned()
        .collect();
    let again = Configuration::new(&format!("token = {TOKEN:?}\n{}", kept.join("\n")));
    let values = |lines: Vec<String>| -> Vec<_> {
        let value = |line: &String| line.split("  # ").next().map(str::to_owned);
        lines.iter().skip(1).map(value).collect()
    };
    assert_eq!(values(again.check(&[], &[])), values(first));
}

#[test]
fn stronger_place_removes_what_conflicts_with_it() {
    let file = Configuration::new(&format!("token = {TOKEN:?}\nfrom = \"oldest\"\n"));
    let since = ["--enterprise", "--since", "2026-11-30"];
    let settings = file.check(&[], &since);
    assert_has(&settings, "# from = \"now\"  # default");
    assert_has(&settings, "since = \"2026-11-30\"  # command line");

    let file =
        Configuration::new("client-id = \"app\"\nclient-secret = \"s\"\nsubject = \"user:1\"\n");
    for (environment, arguments) in [
        (&[("BOX_ACCESS_TOKEN", TOKEN)][..], &[][..]),
        (&[("BOX_TAIL_TOKEN", TOKEN)], &[]),
        (&[("BOX_CLIENT_SECRET", "ignored")], &["--demo"]),
        (&[], &["--token", TOKEN]),
    ] {
        let settings = file.check(environment, arguments);
        for name in ["client-id", "client-secret", "subject"] {
            assert_lacks(&settings, name);
        }
    }

    let file = Configuration::new(&format!("token = {TOKEN:?}\nenterprise = true\n"));
    let variables = [
        ("BOX_TAIL_ENTERPRISE", "false"),
        ("BOX_TAIL_STREAM_TYPE", "changes"),
    ];
    let settings = file.check(&variables, &[]);
    assert_has(&settings, "enterprise = false  # BOX_TAIL_ENTERPRISE");
    assert_has(
        &settings,
        "stream-type = \"changes\"  # BOX_TAIL_STREAM_TYPE",
    );
    let settings = file.check(&[], &["--stream-type", "changes"]);
    assert_lacks(&settings, "enterprise");
}

#[test]
fn secret_variable_completes_the_application_of_a_file() {
    let file = Configuration::new("client-id = \"app\"\nsubject = \"user:1\"\n");
    let settings = file.check(&[("BOX_CLIENT_SECRET", "hidden")], &[]);
    assert_has(&settings, "client-secret = \"(set)\"  # BOX_CLIENT_SECRET");
    assert_has(
        &settings,
        &format!("client-id = \"app\"  # {}:1", file.name()),
    );
    // Without an application, the secret has no use.
    let settings = Configuration::new("demo = true").check(&[("BOX_CLIENT_SECRET", "hidden")], &[]);
    assert_lacks(&settings, "client-secret");
}

#[test]
fn mistake_in_a_file_is_shown_with_its_line() {
    for (text, line, error) in [
        (
            "count = 3\nchekpoint = \"a\"",
            2,
            r#"unknown key "chekpoint": is it "checkpoint"?"#,
        ),
        (
            "as_user = 7",
            1,
            r#"unknown key "as_user": is it "as-user"?"#,
        ),
        (
            "\n[zz]\nto = \"x\"",
            2,
            r#"unknown key "zz": `box-tail follow --help` lists the options"#,
        ),
        (
            "config = \"other\"",
            1,
            "config: a file can't name another file",
        ),
        (
            "json = \"yes\"",
            1,
            "json: expected true or false, found a TOML string",
        ),
        (
            "count = [1]",
            1,
            "count: expected a text, found a TOML array",
        ),
        (
            "type = true",
            1,
            "type: expected a text, or a list of texts, found a TOML boolean",
        ),
        (
            "type = [[]]",
            1,
            "type: expected texts in the list, found a TOML array",
        ),
        (
            "demo = true\ncount = 0",
            2,
            "invalid value '0' for '--count <N>': 0 is not in 1..18446744073709551615",
        ),
        (
            "enterprise = true\nfrom = \"now\"\nsince = 2026-11-30",
            2,
            "the argument '--from <POSITION>' cannot be used with '--since <TIME>'",
        ),
    ] {
        Configuration::new(text).assert_refused(line, error);
    }
    let torn = Configuration::new("count = 3\ntype = [");
    let ended = Tail::start(&["--config", torn.name()]).end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let start = format!("error: {}:2: ", torn.name());
    assert!(ended.reports[0].starts_with(&start), "{ended:?}");
    let ended = Tail::start(&["--config", "/nowhere/tail.toml"]).end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.reports[0].contains("/nowhere/tail.toml"), "{ended:?}");
}

#[test]
fn file_without_credentials_does_not_start_the_demo() {
    let file = Configuration::new("count = 1");
    let ended = Tail::start(&["--config", file.name()]).end_without_events();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.reports[0].contains("no credentials"), "{ended:?}");
    let ended = Tail::start(&["--config", file.name(), "--demo"]).end();
    assert_eq!(ended.events.len(), 1, "{ended:?}");
}

#[cfg(unix)]
#[test]
fn secret_in_a_file_for_all_users_is_refused() {
    for (key, text) in [
        ("token", format!("json = true\ntoken = {TOKEN:?}")),
        (
            "client-secret",
            format!("client-id = \"app\"\nclient-secret = {TOKEN:?}"),
        ),
    ] {
        let file = Configuration::new(&text);
        set_mode(&file.path, 0o644);
        let error = format!(
            "{key}: other users of this machine can read the file: remove their right to do so, \
             or put the secret into a file for {key}-file"
        );
        file.assert_refused(2, &error);
    }
    let file = Configuration::new("json = true\ntoken-file = \"token\"\ndemo = false");
    set_mode(&file.path, 0o644);
    let ended = Tail::start(&["check", "--config", file.name()]).end();
    assert!(
        ended.reports[0].contains("cannot read a secret from token"),
        "{ended:?}"
    );
}

#[test]
fn check_finds_an_output_that_cannot_work() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, "not a secret\n").unwrap();
    let file = directory.path().join("events.jsonl");
    let to_file = format!("jsonl:{}", file.display());
    for (arguments, error) in [
        (&["--to", "nowhere"][..], "--to: neither"),
        (
            &["--to", &to_file, "--webhook-batch", "2"],
            "--webhook-batch needs",
        ),
        (&["--on-error", "retry"], "--on-error: standard output"),
        (&["--gzip"], "--gzip"),
        (
            &["--to", "sqlite:a", "--checkpoint", "b"],
            "--checkpoint does not go",
        ),
        (
            &["--to", "https://localhost", "--format", "{user}"],
            "--format: a webhook",
        ),
        (
            &[
                "--to",
                "https://localhost",
                "--secret-file",
                secret.to_str().unwrap(),
            ],
            "not a signing secret",
        ),
    ] {
        let arguments = [&["check", "--demo"], arguments].concat();
        let ended = Tail::start(&arguments).end_without_events();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.reports[0].contains(error), "{error}: {ended:?}");
    }
    let ended = Tail::start(&["check", "--demo", "--to", &to_file]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!file.exists(), "a check creates no file");
}

#[test]
fn webhook_secret_takes_the_first_place_that_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    fs::write(directory.path().join("box-webhook-secret"), secret).unwrap();
    let file = Configuration::new("demo = true\nto = \"https://localhost\"\n");
    let systemd = ("CREDENTIALS_DIRECTORY", directory.path().to_str().unwrap());
    let settings = file.check(&[systemd], &[]);
    let is_credential = |line: &String| {
        line.starts_with("secret-file = ")
            && line.ends_with("  # systemd credential box-webhook-secret")
    };
    assert!(settings.iter().any(is_credential), "{settings:?}");
    let variable = ("BOX_TAIL_WEBHOOK_SECRET", secret);
    let settings = file.check(&[systemd, variable], &[]);
    assert_has(
        &settings,
        "secret-file = \"(set)\"  # BOX_TAIL_WEBHOOK_SECRET",
    );
    assert!(!settings.concat().contains(secret), "{settings:?}");
    assert!(!settings.concat().contains("not a setting"), "{settings:?}");
}

#[test]
fn mistake_in_a_variable_is_shown_with_its_name() {
    for (name, value, error) in [
        ("BOX_TAIL_COUNT", "0", "BOX_TAIL_COUNT: invalid value '0'"),
        ("BOX_TAIL_COUNT", "", "BOX_TAIL_COUNT is set, but empty"),
        (
            "BOX_TAIL_JSON",
            "maybe",
            "BOX_TAIL_JSON is neither true nor false",
        ),
        (
            "BOX_TAIL_TOKEN",
            "two words",
            "BOX_TAIL_TOKEN: not an access token",
        ),
        ("BOX_TAIL_CONFIG", "/nowhere", "cannot read /nowhere: "),
    ] {
        let ended = Tail::start_with(&[(name, value)], &[]).end_without_events();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let expected = format!("error: {error}");
        assert!(ended.reports[0].starts_with(&expected), "{ended:?}");
        assert!(!format!("{ended:?}").contains("two words"), "{ended:?}");
    }
}

#[test]
fn variable_that_is_no_setting_is_ignored_and_listed() {
    // Kubernetes sets such variables for a service with the name box-tail.
    let port = [("BOX_TAIL_PORT", "tcp://10.0.0.11:9464")];
    let ended = Tail::start_with(&port, &["--count", "1"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = Tail::start_with(&port, &["check", "--demo"]).end();
    assert_has(
        &ended.events,
        "# BOX_TAIL_PORT is not a setting, and is ignored",
    );
}

#[test]
fn check_hides_what_may_be_secret_in_a_url() {
    let url = "https://me:hidden@localhost/?key=hidden";
    let ended = Tail::start(&["check", "--demo", "--user", url]).end();
    assert_has(
        &ended.events,
        "user = \"https://localhost/?…\"  # command line",
    );
    assert_hidden(&ended);
    let ended = Tail::start(&["check", "--token", "hidden"]).end();
    assert_has(&ended.events, "token = \"(set)\"  # command line");
    assert_hidden(&ended);
}

#[track_caller]
fn assert_hidden(ended: &Ended) {
    assert!(!format!("{ended:?}").contains("hidden"), "{ended:?}");
}
