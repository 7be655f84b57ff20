//! Fuzzes the check of realtime URLs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| box_longpoll_fuzz::check("realtime_url", data));
