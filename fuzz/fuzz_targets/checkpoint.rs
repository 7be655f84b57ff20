//! Fuzzes a checkpoint's file, and JSON with a correct checksum.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| box_longpoll_fuzz::check("checkpoint", data));
