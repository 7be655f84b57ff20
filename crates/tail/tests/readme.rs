//! The console blocks of the README, run as they stand there.
//!
//! They follow an account of an emulator, whose address and token are in the environment. The test
//! runs a copy of the README, in which the address and the day of the events are those of the test.
//! The blocks write their files into a folder beside the copy.

#![cfg(any(feature = "reqwest", feature = "surf", feature = "isahc"))]

use std::fs;

use box_longpoll_testkit::{AdminLogsOrder, EmulatorServer, Settings};
use jiff::{SignedDuration, Timestamp};

const TOKEN: &str = "ada";

/// The origin of Box's API and the day of the events, as the README has them.
const API: &str = "https://api.box.com";
const DAY: &str = "2026-11-30";

#[test]
fn readme_blocks_print_as_shown() {
    let server = EmulatorServer::start_with(Settings {
        accepted_tokens: Some([TOKEN.to_owned()].into()),
        admin_logs_order: AdminLogsOrder::Chronological,
        ..Settings::default()
    });
    let day = Timestamp::now() - SignedDuration::from_hours(3 * 24);
    let day = day.strftime("%Y-%m-%d").to_string();
    let event = |id, time, event_type, name: &str, item| {
        let login = format!("{}@example.com", name.to_lowercase());
        format!(
            r#"{{"event_id":"{id}","event_type":"{event_type}","created_at":"{day}T{time}-08:00",
                "created_by":{{"type":"user","id":"1","name":"{name}","login":"{login}"}},
                "source":{{"type":"file","id":"7","name":"{item}"}}}}"#
        )
    };
    server.append_json(
        TOKEN,
        [
            event(1, "09:14:02", "ITEM_UPLOAD", "Ada", "Plan.pdf"),
            event(2, "09:15:40", "ITEM_RENAME", "Ada", "Plan 2.pdf"),
            event(3, "09:21:11", "DOWNLOAD", "Grace", "Plan 2.pdf"),
            event(4, "09:30:00", "DOWNLOAD", "Ada", "Plan 2.pdf"),
        ],
    );
    let readme = include_str!("../README.md");
    assert!(readme.contains(API) && readme.contains(DAY));
    let readme = readme.replace(API, server.origin()).replace(DAY, &day);
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("README.md");
    fs::write(&copy, &readme).unwrap();
    let folder = directory.path().join("README.in");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("box-token"), "expired").unwrap();
    let configuration = block(&readme, "toml");
    fs::write(folder.join("box-tail.toml"), configuration).unwrap();
    trycmd::TestCases::new()
        .env("BOX_ACCESS_TOKEN", TOKEN)
        .env("BOX_TAIL_API", server.origin())
        .case(&copy);
}

/// Returns the first code block in a language.
fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}
