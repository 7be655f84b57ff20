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

/// The texts of the README that differ from run to run, or that a shell would change, and the
/// patterns of trycmd that stand for them. `...` is any number of lines, and `[..]` a part of one.
const PATTERNS: [(&str, &str); 18] = [
    ("\nlistening\n", "\n...\n"),
    (
        "2026-11-30T21:19:11-08:00  ITEM_UNDELETE_VIA_TRASH  Zoë Ångström  file \"Quarterly report \
         51618.png\"\n",
        "",
    ),
    (
        "2026-11-30T21:19:11-08:00  ITEM_TRASH  Zoë Ångström  file \"invoice \\\"final\\\" 10369.docx\"",
        "[..]  ITEM_TRASH  Zoë Ångström  file [..]",
    ),
    (
        "2026-11-30T21:19:11-08:00  LOCK_DESTROY  Zoë Ångström  file \"invoice \\\"final\\\" \
         61503.csv\"\n",
        "",
    ),
    (
        "2026-11-30T21:19:11-08:00  LOCK_DESTROY  Иван Петров  file \"Quarterly report 7300.png\"",
        "...",
    ),
    (
        "Grace  file \"Plan 2.pdf\"\n",
        "Grace  file \"Plan 2.pdf\"\n...\n",
    ),
    (
        "ok    proxy        none\nok    dns          api.box.com: 74.112.186.164\nok    connection   \
         api.box.com responded after 85 ms\nok    tls          the certificate of api.box.com is \
         trusted\n",
        "...\n",
    ),
    (
        "ok    realtime     servers: 1, the first is realtime.services.box.net\nok    poll         \
         realtime.services.box.net holds a poll, for 5 s so far\nok    files        20000 files and \
         sockets may be open\n11 checks, no failure\n",
        "...\n[..] checks, no failure\n\n",
    ),
    ("--type DOWNLOAD\n", "--type DOWNLOAD\n...\n"),
    (
        "--to jsonl:events.jsonl --checkpoint box.checkpoint\n```",
        "--to jsonl:events.jsonl --checkpoint box.checkpoint\n...\n```",
    ),
    (
        "--to sqlite:events.db\n```",
        "--to sqlite:events.db\n...\n```",
    ),
    ("(grace@example.com)\n", "(grace@example.com)\n...\n"),
    ("token = \"(set)\"", "api = [..]\ntoken = \"(set)\""),
    (
        "metrics = \":9464\"  # box-tail.toml:5\n",
        "metrics = \":9464\"  # box-tail.toml:5\n...\n",
    ),
    (" | grep -A 1 FAIL\n", "\n? failed\n...\n"),
    (
        "see `box-tail follow --help`\n```",
        "see `box-tail follow --help`\n...\n[..] checks failed\n\n```",
    ),
    (
        "position     1152922976252290937\ncomplete at  2026-11-30T17:30:02Z\n",
        "position     [..]\ncomplete at  [..]\n",
    ),
    (
        " > missing.jsonl\nthe copy has 3 ids\nreading past events\n1 of 4 events are missing\n",
        "\n? 3\nthe copy has 3 ids\nreading past events\n...\n{\"event_id\":\"4\",[..]}\n...\n1 of 4 \
         events are missing\n\n",
    ),
];

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
    let mut patterns = readme.to_owned();
    for (shown, pattern) in PATTERNS {
        assert!(patterns.contains(shown), "the README lacks {shown:?}");
        patterns = patterns.replace(shown, pattern);
    }
    let readme = patterns.replace("history ids  0\n", "history ids  0\n\n");
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
