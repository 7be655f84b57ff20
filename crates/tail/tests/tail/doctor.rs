//! Tests of the command `doctor`: a healthy account, and each failure with its remedy.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use box_longpoll::checkpoint::{CheckpointFile, CheckpointStore as _};
use box_longpoll::transport::Moment;
use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};
use futures_lite::future::block_on;
use serde_json::Value;

use crate::program::{Ended, TOKEN, Tail};

/// Runs the doctor for an account of the emulator.
fn doctor(server: &EmulatorServer, arguments: &[&str]) -> Ended {
    doctor_at(server.origin(), &[], arguments)
}

/// Runs the doctor for an API, with these variables in its environment.
fn doctor_at(api: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let environment = [&[("BOX_ACCESS_TOKEN", TOKEN)], environment].concat();
    let command = ["doctor", "--api", api, "--hold", "1"];
    let ended = Tail::start_with(&environment, &[&command, arguments].concat()).end();
    assert!(!format!("{ended:?}").contains(TOKEN), "{ended:?}");
    ended
}

/// Asserts that the check has this result. Returns its line, and the line with the remedy.
#[track_caller]
fn assert_result<'a>(ended: &'a Ended, check: &str, result: &str) -> (&'a str, &'a str) {
    let mut lines = ended.events.iter().map(String::as_str);
    let line = lines.find(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(result) && words.next() == Some(check)
    });
    let line = line.unwrap_or_else(|| panic!("no {result} {check}: {ended:?}"));
    let remedy = lines.next().unwrap_or_default().trim_start();
    (line, remedy)
}

/// Asserts that the check alone has failed, and that its remedy has these words.
#[track_caller]
fn assert_fails(ended: &Ended, check: &str, words: &[&str]) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let (_, remedy) = assert_result(ended, check, "FAIL");
    let has_all = words.iter().all(|word| remedy.contains(word));
    assert!(remedy.starts_with("=> ") && has_all, "{ended:?}");
    let failures = ended.events.iter().filter(|line| line.starts_with("FAIL"));
    assert_eq!(failures.count(), 1, "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert!(last.starts_with("1 of "), "{last}");
}

#[test]
fn doctor_finds_nothing_wrong_with_a_healthy_account() {
    let server = EmulatorServer::start();
    for (arguments, last) in [(&[][..], "poll"), (&["--enterprise"], "enterprise")] {
        let ended = doctor(&server, arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended.events.iter().all(|line| line.starts_with("ok ")),
            "{ended:?}"
        );
        for check in ["credentials", "dns", "connection", "clock", "token", last] {
            assert_result(&ended, check, "ok");
        }
    }
}

#[test]
fn doctor_examines_the_fake_box_of_the_demo() {
    let ended = Tail::start(&["doctor", "--demo", "--hold", "1"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_result(&ended, "poll", "ok");
}

#[test]
fn doctor_prints_its_checks_as_json() {
    let server = EmulatorServer::start();
    server.revoke(TOKEN);
    let ended = doctor(&server, &["--json"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let lines = ended.events.iter();
    let checks: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let result = |check: &str| checks.iter().find(|line| line["check"] == check).unwrap();
    assert_eq!(result("clock")["result"], "ok");
    assert!(result("clock")["remedy"].is_null());
    assert_eq!(result("events")["result"], "fail");
    assert!(result("events")["detail"].is_string() && result("events")["remedy"].is_string());
}

#[test]
fn doctor_says_what_to_do_without_credentials() {
    let ended = Tail::start(&["doctor"]).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let (_, remedy) = assert_result(&ended, "credentials", "FAIL");
    assert!(remedy.contains("BOX_ACCESS_TOKEN"), "{ended:?}");
    assert_result(&ended, "token", "skip");
}

#[test]
fn doctor_says_what_to_do_about_a_refusal_of_box() {
    for (fault, words) in [
        (Fault::Unauthorized, &["access token", "60 minutes"][..]),
        (Fault::Forbidden, &["right to read", "authorize"]),
        (Fault::ServerError, &["status.box.com"]),
        (Fault::RateLimited { seconds: 30 }, &["wait"]),
        (Fault::Html, &["sign-in page"]),
    ] {
        let server = EmulatorServer::start();
        server.queue_fault(Endpoint::Events, fault, 1);
        let ended = doctor(&server, &[]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let (_, remedy) = assert_result(&ended, "events", "FAIL");
        assert!(words.iter().all(|word| remedy.contains(word)), "{ended:?}");
    }
}

#[test]
fn doctor_names_the_rights_for_the_enterprise() {
    let server = EmulatorServer::start();
    server.queue_fault(Endpoint::Events, Fault::Forbidden, 1);
    let ended = doctor(&server, &["--enterprise"]);
    let words = ["co-admin", "Manage enterprise properties"];
    assert_fails(&ended, "enterprise", &words);
}

#[test]
fn doctor_reports_that_the_application_is_unknown() {
    let server = EmulatorServer::start();
    let environment = [("BOX_CLIENT_SECRET", "a-secret-that-nobody-may-see")];
    let arguments = ["doctor", "--api", server.origin(), "--client-id", "unknown"];
    let arguments = [&arguments[..], &["--subject", "enterprise:1"]].concat();
    let ended = Tail::start_with(&environment, &arguments).end();
    assert_fails(&ended, "token", &["client id", "client secret"]);
    assert!(!format!("{ended:?}").contains("a-secret"), "{ended:?}");
}

#[test]
fn doctor_warns_of_a_wrong_clock() {
    for (skew, side) in [(600, "behind"), (-600, "ahead of")] {
        let server = EmulatorServer::start();
        server.change_settings(|settings| settings.clock_skew_seconds = skew);
        let ended = doctor(&server, &[]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let (line, remedy) = assert_result(&ended, "clock", "warn");
        assert!(line.contains(side) && remedy.contains("NTP"), "{ended:?}");
    }
    let server = EmulatorServer::start();
    server.change_settings(|settings| settings.no_date = true);
    let ended = doctor(&server, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_result(&ended, "clock", "warn");
}

/// Returns the origin of a port on which nobody listens.
fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn doctor_reports_a_realtime_server_that_is_not_there() {
    let server = EmulatorServer::start();
    server.change_settings(|settings| settings.realtime_origins = vec![closed_port()]);
    let ended = doctor(&server, &[]);
    assert_fails(&ended, "poll", &["firewall", "127.0.0.1"]);

    server.queue_fault(Endpoint::Options, Fault::EmptyList, 1);
    assert_fails(&doctor(&server, &[]), "realtime", &[]);

    server.change_settings(|settings| {
        settings.realtime_origins = vec!["https://realtime.example".to_owned()];
    });
    let ended = doctor(&server, &[]);
    assert_fails(&ended, "realtime", &["box.net"]);
}

#[test]
fn doctor_reports_a_host_that_refuses_connections() {
    let ended = doctor_at(&closed_port(), &[], &[]);
    assert_fails(&ended, "connection", &["firewall", "HTTPS_PROXY"]);
    for check in ["tls", "clock", "token"] {
        assert_result(&ended, check, "skip");
    }
}

#[test]
fn doctor_reports_a_host_without_an_address() {
    let ended = doctor_at("https://box.invalid", &[], &[]);
    assert_fails(&ended, "dns", &["DNS"]);
    assert_result(&ended, "connection", "skip");
}

#[cfg(any(feature = "reqwest", feature = "isahc"))]
#[test]
fn doctor_names_the_proxy_without_its_password() {
    let proxy = closed_port().replace("//", "//ada:a-password@");
    let environment = [("HTTPS_PROXY", &*proxy), ("https_proxy", &*proxy)];
    let ended = doctor_at("https://box.invalid", &environment, &[]);
    assert_fails(&ended, "connection", &["proxy"]);
    let (line, _) = assert_result(&ended, "proxy", "ok");
    assert!(line.contains("127.0.0.1"), "{line}");
    assert_result(&ended, "dns", "warn");
    assert!(!format!("{ended:?}").contains("a-password"), "{ended:?}");
}

#[cfg(any(feature = "reqwest", feature = "isahc"))]
#[test]
fn doctor_reports_a_certificate_that_is_not_trusted() {
    use box_longpoll_testkit::{Config, Settings};

    let server = EmulatorServer::start_with(Config {
        tls: true,
        ..Config::from(Settings::default())
    });
    let ended = doctor(&server, &[]);
    assert_fails(&ended, "tls", &["certificate authority", "SSL_CERT_FILE"]);

    let directory = tempfile::tempdir().unwrap();
    let authority = directory.path().join("authority.pem");
    fs::write(&authority, server.authority_pem().unwrap()).unwrap();
    let environment = [("SSL_CERT_FILE", authority.to_str().unwrap())];
    let ended = doctor_at(server.origin(), &environment, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (line, _) = assert_result(&ended, "tls", "ok");
    assert!(line.contains("trusted"), "{line}");
}

#[cfg(target_os = "linux")]
#[test]
fn doctor_reports_a_low_limit_of_open_files() {
    let runner = ["sh", "-c", "ulimit -n 40 && exec \"$0\" \"$@\""].map(AsRef::as_ref);
    let ended = Tail::run(&runner, &["doctor", "--demo", "--hold", "1"]).end();
    assert_fails(&ended, "files", &["ulimit", "LimitNOFILE"]);
}

#[test]
fn doctor_examines_the_checkpoint_file() {
    let server = EmulatorServer::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tail.checkpoint");
    let checkpoint = ["--checkpoint", file.to_str().unwrap()];

    let ended = doctor(&server, &checkpoint);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (line, _) = assert_result(&ended, "checkpoint", "ok");
    assert!(line.contains("does not exist yet"), "{line}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);

    let mut tail = Tail::of(&server, &[&checkpoint[..], &["--as-user", "17"]].concat());
    tail.wait_for_report(|line| line == "listening");
    let as_user = [&checkpoint[..], &["--as-user", "17"]].concat();
    let ended = doctor(&server, &as_user);
    let (line, _) = assert_result(&ended, "checkpoint", "warn");
    assert!(line.contains("in use"), "{line}");
    tail.kill();
    let ended = doctor(&server, &as_user);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (line, _) = assert_result(&ended, "checkpoint", "ok");
    let newest = server.emulator().newest_position("17");
    assert!(line.contains(&*newest), "{line}");

    for user in [
        &[][..],
        &["--as-user", "18"],
        &["--as-user", "17", "--enterprise"],
    ] {
        let ended = doctor(&server, &[&checkpoint[..], user].concat());
        assert_fails(&ended, "checkpoint", &["this account"]);
    }

    let text = fs::read(&file).unwrap();
    fs::write(&file, &text[..text.len() / 2]).unwrap();
    assert_fails(&doctor(&server, &as_user), "checkpoint", &["--from"]);

    let nowhere = directory.path().join("nowhere").join("tail.checkpoint");
    let nowhere = ["--checkpoint", nowhere.to_str().unwrap()];
    assert_fails(&doctor(&server, &nowhere), "checkpoint", &["create"]);
}

#[test]
fn doctor_examines_what_the_configuration_of_follow_needs() {
    let server = EmulatorServer::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("box-tail.toml");
    let config = "enterprise = true\ncheckpoint = \"box.checkpoint\"\njson = true\ncount = 3\n";
    fs::write(&file, config).unwrap();
    let ended = doctor(&server, &["--config", file.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_result(&ended, "enterprise", "ok");
    assert_result(&ended, "checkpoint", "ok");
}

#[test]
fn doctor_warns_of_a_checkpoint_that_is_too_old() {
    let server = EmulatorServer::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tail.checkpoint");
    let checkpoint = ["--checkpoint", file.to_str().unwrap()];
    let mut tail = Tail::of(&server, &[&checkpoint[..], &["--enterprise"]].concat());
    tail.wait_for_report(|line| line.starts_with("position "));
    tail.kill();
    let new = CheckpointFile::read(&file).unwrap().unwrap();
    let ago = Moment::read_clocks().wall - Duration::from_secs(20 * 24 * 60 * 60);
    let old = new.moved_to(new.resume_at(), ago).unwrap();
    let store = CheckpointFile::open(&file).unwrap();
    block_on(store.save(old.account(), &old)).unwrap();
    drop(store);
    let ended = doctor(&server, &[&checkpoint[..], &["--enterprise"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (line, remedy) = assert_result(&ended, "checkpoint", "warn");
    assert!(
        line.contains("20 days ago") && remedy.contains("audit"),
        "{ended:?}"
    );
}
