//! Fuzzes the parser of the response to a poll.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| box_longpoll_fuzz::check("signal", data));
