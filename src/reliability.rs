#![doc = include_str!("reliability/promise.md")]
#![doc = include_str!("reliability/faults.md")]
#![doc = include_str!("reliability/process.md")]
#![doc = include_str!("reliability/tests.md")]
