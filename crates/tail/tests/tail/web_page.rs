//! Tests of the page of `--metrics` in a browser.
//!
//! If `PAGE_PICTURES` names a folder, the test of all sizes and colors leaves pictures there.

use std::path::PathBuf;
use std::{env, fs};

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};

use crate::chromium::{Chromium, REBOUND};
use crate::program::{TOKEN, Tail};
use crate::web_client::WebClient;

/// Starts an emulator, the program, and a browser that shows its page.
fn world(arguments: &[&str]) -> (EmulatorServer, Tail, WebClient, Chromium) {
    let server = EmulatorServer::start();
    let (tail, web) = WebClient::start(&server, &[&["--from", "oldest"], arguments].concat());
    let mut browser = Chromium::start();
    browser.open(&web.url());
    browser.wait_for(&has_state("live"));
    (server, tail, web, browser)
}

fn has_state(state: &str) -> String {
    format!("document.body.dataset.state === '{state}'")
}

fn shows_rows(count: usize) -> String {
    format!("document.querySelectorAll('tbody tr:not([hidden])').length === {count}")
}

fn event(id: u32, kind: &str, who: &str, item: &str) -> String {
    format!(
        r#"{{"event_id":"{id}","event_type":"{kind}","created_at":"2026-01-02T03:04:05Z",
        "created_by":{{"name":"{who}"}},"source":{{"type":"file","name":"{item}"}}}}"#
    )
}

#[test]
#[ignore = "needs Chromium: .ci/run installs it"]
fn page_shows_events_as_they_come() {
    let (server, _tail, _web, mut browser) = world(&[]);
    browser.wait_for("document.getElementById('none').textContent === 'No events yet.'");
    server.append_json(TOKEN, [event(1, "ITEM_UPLOAD", "Ada", "plan.pdf")]);
    browser.wait_for(&shows_rows(1));
    let cells = "[...document.querySelectorAll('tbody td')].slice(1).map((cell) => cell.innerText)";
    let expected = serde_json::json!(["ITEM_UPLOAD", "Ada", r#"file "plan.pdf""#]);
    assert_eq!(browser.value(cells), expected);
    let time = browser.value("document.querySelector('tbody time').dateTime");
    assert_eq!(time, "2026-01-02T03:04:05Z");

    // The newest event is the first row.
    server.append_json(TOKEN, [event(2, "ITEM_TRASH", "Ben", "plan.pdf")]);
    browser.wait_for(&shows_rows(2));
    let kind = "document.querySelector('tbody tr td:nth-child(2)').innerText";
    assert_eq!(browser.value(kind), "ITEM_TRASH");
    server.append(TOKEN, 100);
    browser.wait_for("document.getElementById('events').innerText === '102'");
    browser.wait_for(&shows_rows(50));
    browser.wait_for("document.getElementById('rate').innerText !== '0 /s'");
    assert_eq!(browser.value("document.title"), "Live · box-tail");
    browser.assert_no_errors();
}

#[test]
#[ignore = "needs Chromium: .ci/run installs it"]
fn text_of_an_event_cannot_bring_markup() {
    let (server, _tail, _web, mut browser) = world(&[]);
    let attack =
        "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>";
    server.append_json(TOKEN, [event(1, attack, attack, attack)]);
    browser.wait_for(&shows_rows(1));
    let markup = "document.querySelectorAll('tbody img, tbody script').length";
    assert_eq!(browser.value(markup), 0);
    let kind = "document.querySelector('tbody td:nth-child(2)').textContent";
    assert_eq!(browser.value(kind), attack);
    // The policy stops code that comes into the page in any other way.
    for injection in [
        "document.body.innerHTML = '<p>owned'",
        "document.body.setAttribute('onclick', '0')",
    ] {
        let stopped = format!("try {{ {injection}; 'done' }} catch {{ 'stopped' }}");
        assert_eq!(browser.value(&stopped), "stopped", "{injection}");
    }
    assert_eq!(browser.value("document.title"), "Live · box-tail");
}

#[test]
#[ignore = "needs Chromium: .ci/run installs it"]
fn page_works_by_keyboard() {
    let (server, _tail, _web, mut browser) = world(&[]);
    server.append_json(
        TOKEN,
        [
            event(1, "ITEM_UPLOAD", "Ada", "plan.pdf"),
            event(2, "ITEM_TRASH", "Ben", "plan.pdf"),
        ],
    );
    browser.wait_for(&shows_rows(2));
    for expected in ["Metrics", "Health", "filter", "pause"] {
        browser.press("Tab");
        let focus = "document.activeElement.id || document.activeElement.innerText";
        assert_eq!(browser.value(focus), expected);
        let outline = "getComputedStyle(document.activeElement).outlineStyle";
        assert_eq!(browser.value(outline), "solid", "{expected}");
    }

    browser.press(" ");
    let is_paused = "document.getElementById('pause').getAttribute('aria-pressed')";
    assert_eq!(browser.value(is_paused), "true");
    server.append_json(TOKEN, [event(3, "ITEM_MOVE", "Ada", "notes.txt")]);
    browser.wait_for("document.getElementById('shown').innerText === '2, 1 new'");
    assert_eq!(browser.value(&shows_rows(2)), true);
    browser.press("Enter");
    assert_eq!(browser.value(is_paused), "false");
    browser.wait_for(&shows_rows(3));

    browser.value("document.getElementById('filter').focus()");
    browser.type_text("ADA");
    browser.wait_for(&shows_rows(2));
    let shown = "document.getElementById('shown').innerText";
    assert_eq!(browser.value(shown), "2 of 3");
    // The filter is for new events too.
    server.append_json(
        TOKEN,
        [
            event(4, "ITEM_COPY", "Ben", "plan.pdf"),
            event(5, "ITEM_COPY", "Ada", "plan.pdf"),
        ],
    );
    browser.wait_for("document.getElementById('shown').innerText === '3 of 5'");
    browser.type_text(" is not here");
    browser.wait_for(&shows_rows(0));
    let none = "document.getElementById('none').innerText";
    assert_eq!(
        browser.value(none),
        "None of these events matches the filter."
    );
    browser.assert_no_errors();
}

#[test]
#[ignore = "needs Chromium: .ci/run installs it"]
fn page_has_a_structure_for_screen_readers() {
    let (server, _tail, _web, mut browser) = world(&[]);
    server.append(TOKEN, 3);
    browser.wait_for(&shows_rows(3));
    for width in [360, 1280] {
        browser.look(width, 800, "light");
        let tree = browser.call("Accessibility.getFullAXTree", &serde_json::json!({}));
        let nodes = tree["nodes"].as_array().unwrap();
        let count = |role: &str| {
            let has_role = |node: &&serde_json::Value| {
                node["role"]["value"] == role && node["ignored"] == false
            };
            nodes.iter().filter(has_role).count()
        };
        for (role, expected) in [
            ("main", 1),
            ("banner", 1),
            ("navigation", 1),
            ("status", 1),
            ("table", 1),
            ("columnheader", 4),
            ("row", 4),
            ("cell", 12),
            ("searchbox", 1),
            ("button", 1),
        ] {
            assert_eq!(count(role), expected, "{role} at {width}");
        }
        let unnamed = nodes.iter().filter(|node| {
            let needs_name = [
                "searchbox",
                "button",
                "table",
                "link",
                "region",
                "img",
                "image",
            ];
            let is_role = |role: &&&str| node["role"]["value"] == **role;
            needs_name.iter().find(is_role).is_some() && node["name"]["value"] == ""
        });
        assert_eq!(unnamed.count(), 0);
    }
    // A live region for each event would never be silent.
    let live =
        "[...document.querySelectorAll('[aria-live], [role=status]')].map((e) => e.innerText)";
    assert_eq!(browser.value(live), serde_json::json!(["Live"]));
}

#[test]
#[ignore = "needs Chromium: .ci/run installs it"]
fn page_fits_in_all_sizes_and_colors() {
    let (server, _tail, _web, mut browser) = world(&[]);
    server.append(TOKEN, 60);
    let long = "a_long_name_without_any_space_".repeat(8);
    server.append_json(TOKEN, [event(1, "COLLAB_ADD_COLLABORATOR", &long, &long)]);
    server.append(TOKEN, 2);
    browser.wait_for(&shows_rows(50));
    browser.wait_for("document.getElementById('rate').innerText !== '0 /s'");
    for (name, width, height) in [("phone", 360, 780), ("desktop", 1280, 900)] {
        for colors in ["light", "dark"] {
            browser.look(width, height, colors);
            let overflow = "document.documentElement.scrollWidth - innerWidth";
            let overflow = browser.value(overflow).as_i64().unwrap();
            assert!(overflow <= 0, "{name}: {overflow} pixels too wide");
            assert_eq!(browser.value(OUTSIDE), serde_json::json!([]), "{name}");
            assert_eq!(
                browser.value(FAINT),
                serde_json::json!([]),
                "{name} {colors}"
            );
            let brightness = browser.value("luminance(colors(document.body)[1])");
            let is_dark = brightness.as_f64().unwrap() < 0.1;
            assert_eq!(is_dark, colors == "dark", "{brightness}");
            if let Some(folder) = env::var_os("PAGE_PICTURES").map(PathBuf::from) {
                let picture = browser.picture();
                fs::write(folder.join(format!("{name}-{colors}.png")), picture).unwrap();
            }
        }
    }
    browser.assert_no_errors();
}

/// Finds the elements that reach out of their parent's box, which hides or overlaps something.
const OUTSIDE: &str = "[...document.querySelectorAll('main *')]
    .filter((e) => !e.closest('svg, thead, noscript') && e.scrollWidth > e.clientWidth + 1)
    .filter((e) => e.clientWidth > 0 && e.tagName !== 'INPUT')
    .map((e) => e.outerHTML.slice(0, 200))";

/// Finds the texts whose contrast is less than the 4.5 of WCAG 2.2, level AA.
const FAINT: &str = "
    globalThis.luminance = ([r, g, b]) => {
        const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    };
    globalThis.colors = (e) => {
        const parts = (color) => color.match(/[\\d.]+/g).map(Number);
        let back = e;
        while (back.parentElement && parts(getComputedStyle(back).backgroundColor)[3] === 0) {
            back = back.parentElement;
        }
        return [parts(getComputedStyle(e).color), parts(getComputedStyle(back).backgroundColor)];
    };
    [...document.querySelectorAll('body *')]
        .filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
        .map((e) => {
            const [a, b] = colors(e).map(luminance);
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 100)];
        })
        .filter(([contrast]) => contrast < 4.5)";

#[test]
#[ignore = "needs Chromium: .ci/run installs it"]
fn page_says_why_the_stream_retries() {
    let (server, _tail, _web, mut browser) = world(&[]);
    let broken = Fault::Status {
        status: 502,
        headers: [].into(),
        body: String::new(),
    };
    server.queue_fault(Endpoint::Events, broken, 1_000);
    server.append(TOKEN, 1);
    browser.wait_for(&has_state("retrying"));
    browser.wait_for("document.getElementById('cause').innerText.includes('502')");
    let status = "document.querySelector('[role=status]').innerText";
    assert_eq!(browser.value(status), "Retrying");
    server.emulator().clear_faults();
    browser.wait_for(&has_state("live"));
    browser.wait_for(&shows_rows(1));
    browser.wait_for("document.getElementById('cause').hidden");
    browser.assert_no_errors();
}

#[test]
#[ignore = "needs Chromium: .ci/run installs it"]
fn page_connects_again_after_a_restart() {
    let (server, tail, web, mut browser) = world(&[]);
    server.append(TOKEN, 2);
    browser.wait_for(&shows_rows(2));
    let newest = server.emulator().newest_position(TOKEN);
    tail.kill();
    browser.wait_for(&has_state("disconnected"));
    let arguments = ["--from", &newest, "--metrics", &web.authority];
    let mut tail = Tail::of(&server, &arguments);
    WebClient::of(&mut tail);
    browser.wait_for(&has_state("live"));
    server.append(TOKEN, 3);
    browser.wait_for(&shows_rows(5));
    browser.wait_for("document.getElementById('events').innerText === '3'");
}

#[test]
#[ignore = "needs Chromium: .ci/run installs it"]
fn page_is_refused_when_a_name_is_rebound() {
    let (_server, _tail, web, mut browser) = world(&[]);
    let port = web.authority.rsplit_once(':').unwrap().1.to_owned();
    browser.open(&format!("http://{REBOUND}:{port}/"));
    let text = browser.value("document.body.innerText");
    assert!(text.as_str().unwrap().contains("--metrics-host"), "{text}");
    let feed = "fetch('/events').then((response) => response.status)";
    assert_eq!(browser.value(feed), 421);

    let (_server, _tail, web, _) = world(&["--metrics-host", REBOUND]);
    let port = web.authority.rsplit_once(':').unwrap().1.to_owned();
    browser.open(&format!("http://{REBOUND}:{port}/"));
    browser.wait_for(&has_state("live"));
}
