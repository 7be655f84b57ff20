//! Fuzzes the parser of the list of realtime servers.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| box_longpoll_fuzz::check("servers", data));
