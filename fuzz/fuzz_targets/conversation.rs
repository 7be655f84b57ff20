//! Fuzzes the engine, with inputs of any kind in any order.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| box_longpoll_fuzz::check("conversation", data));
