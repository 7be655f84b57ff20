//! Fuzzes the parser of `Retry-After`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| box_longpoll_fuzz::check("retry_after", data));
