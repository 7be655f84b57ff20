//! Fuzzes the parser of pages of events.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| box_longpoll_fuzz::check("page", data));
