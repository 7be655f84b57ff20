//! Fuzzes the parser of responses with a bad status.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| box_longpoll_fuzz::check("refusal", data));
