//! Fuzzes the decompression of responses.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| box_longpoll_fuzz::check("gzip", data));
