#![doc = include_str!("proxy/proxy.md")]
