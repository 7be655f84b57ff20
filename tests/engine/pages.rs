//! Pages that can't be read.

use box_longpoll::ErrorKind;
use box_longpoll::transport::TransportErrorKind;

use crate::script::{Script, body, failed, page};

#[test]
fn a_page_that_cannot_be_read_twice_is_asked_for_in_halves() {
    let broken = || body(r#"{"entries":[{"a":"#);
    let mut script = Script::start("100");
    for limit in [500, 500, 250] {
        script.expect_fetch("100");
        script.assert_limit(limit);
        script.reply(broken());
    }
    script.expect_fetch("100").assert_limit(125);
    script.reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    // What is readable again is asked for in doubles, after a while.
    for n in 200..220 {
        let (from, next) = (n.to_string(), (n + 1).to_string());
        let limit = match n {
            200..=206 => 125,
            207..=214 => 250,
            _ => 500,
        };
        script.expect_fetch(&from).assert_limit(limit);
        script.reply(page(&next, &[&next]));
        script.expect_batch(&[&next]);
    }
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_halves() {
    let mut script = Script::start("100");
    script
        .expect_fetch("100")
        .reply(failed(TransportErrorKind::BodyTooLarge));
    script.expect_fetch("100").assert_limit(250);
    script.assert_waited(0.5, 1.5);
}

#[test]
fn an_event_that_cannot_be_read_even_alone_stops_the_stream_before_it() {
    let mut script = Script::start("100");
    let limits = [500, 500, 250, 125, 62, 31, 15, 7, 3, 1];
    for limit in limits {
        script.expect_fetch("100").assert_limit(limit);
        script.reply(body("{\"entries\":[{\"name\":\"\u{1b}[31m"));
    }
    script
        .expect_stop(ErrorKind::PageUndecodable)
        .assert_position("100");
}

#[test]
fn a_page_that_is_not_boxs_never_stops_the_stream() {
    let mut script = Script::start("100");
    for foreign in ["<html>please log in</html>", "{ error: 'please log in' }"] {
        for _ in 0..30 {
            script.expect_fetch("100").assert_limit(500);
            script.reply(body(foreign));
        }
    }
}
