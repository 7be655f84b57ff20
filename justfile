# `just` lists the recipes. Each is one command, so that you can do without `just`.

default:
    @just --list

# All tests that need nothing but Rust and a C compiler
test:
    cargo test --workspace --features full

# The tests of the engine, which take a second
engine:
    cargo test --no-default-features --lib --test engine

# One world of the simulation, with its trace if it fails
seed number:
    SIMULATION_SEED={{number}} cargo test --test simulation every_seed -- --nocapture

# Many worlds of the simulation
seeds count="100000":
    SIMULATION_SEEDS={{count}} cargo test --release --test simulation

# Format and English
format:
    cargo fmt --all
    .ci/plain-english

# Clippy, the compiler's messages, and the dependencies
lint:
    .ci/lints

# The documentation, as docs.rs shows it
docs:
    cargo doc --workspace --no-deps --features full --open

# The listing of the public API, after a change of it
api:
    .ci/public-api --write

# A fake Box to follow; `just emulator --help` lists its settings
emulator *arguments:
    cargo run -p box-longpoll-testkit --bin box-emulator -- {{arguments}}

# Latency, catch-up and memory, beside a minimal client over hyper
bench:
    cargo bench --bench follow --features full

# What runs on every landing
check:
    .ci/run
