//! Proves that 10,000 streams in one process start and reconnect within their limits. Run it by
//! hand:
//!
//! ```sh
//! cargo test --release --features full --test many -- --ignored --nocapture ten_thousand
//! ```
//!
//! The fake Box runs in a separate process, since each of the two processes has 10,000 sockets.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Read as _, stdin};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use box_longpoll::config::RealtimeHosts;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{BatchStream, LongPollClient, StartAt, StreamMap};
use box_longpoll_testkit::{Config, EmulatorServer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::time::{Instant, interval, timeout};

use crate::fake_box::TOKEN;
use crate::world::token;

const STREAMS: usize = 10_000;

/// The number of file descriptors: a socket for each stream, and some for calls, files and the
/// runtime.
const DESCRIPTORS: u64 = STREAMS as u64 + 1_000;

/// The environment variable that makes this process the fake Box.
const FAKE_BOX: &str = "BOX_LONGPOLL_TEST_FAKE_BOX";

/// The beginning of the line with the address of the fake Box.
const ORIGIN: &str = "origin ";

/// Raises the limit of open files to the number that the test needs. Panics if the machine doesn't
/// permit it.
fn raise_the_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < DESCRIPTORS) {
        let raised = Rlimit {
            current: Some(DESCRIPTORS),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised).expect("the hard limit of open files is too low");
    }
}

/// Runs the fake Box until its standard input ends.
fn serve() {
    raise_the_limit();
    let server = EmulatorServer::start_with(Config {
        request_log_capacity: 100,
        ..Config::default()
    });
    println!("\n{ORIGIN}{}", server.origin());
    let _ = stdin().read_to_end(&mut Vec::new());
}

/// The fake Box in a separate process, with a client to control it.
struct FakeBox {
    process: Child,
    /// The process's output. It stays open, so that the process can write to it.
    _output: Lines<BufReader<ChildStdout>>,
    origin: String,
    http: reqwest::Client,
}

impl FakeBox {
    fn start() -> Self {
        let test = "ten_thousand::ten_thousand_streams_reconnect_within_their_limits";
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(FAKE_BOX, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let origin = output
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix(ORIGIN).map(str::to_owned));
        Self {
            process,
            _output: output,
            origin: origin.expect("the fake Box prints its address"),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    async fn control(&self, method: reqwest::Method, resource: &str, body: &Value) -> Value {
        let url = format!("{}/_emulator/{resource}", self.origin);
        let request = self.http.request(method, url).body(body.to_string());
        let request = request.header("content-type", "application/json");
        let response = request.send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice(&response).unwrap()
    }

    async fn counters(&self) -> Value {
        self.control(reqwest::Method::GET, "counters", &Value::Null)
            .await
    }

    /// Waits until this number of polls is open, and returns the counters.
    async fn holds(&self, polls: usize) -> Value {
        let mut often = interval(Duration::from_millis(250));
        loop {
            often.tick().await;
            let counters = self.counters().await;
            if counters["open_polls"] == polls {
                return counters;
            }
        }
    }
}

impl Drop for FakeBox {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

type Followed = StreamMap<usize, BatchStream<ReqwestTransport>>;

/// Drives the streams until all of them listen, prints the time that this took, and returns the
/// counters.
async fn all_listen(fake_box: &FakeBox, streams: &mut Followed, limit: Duration) -> Value {
    let began = Instant::now();
    let counters = timeout(limit, async {
        tokio::select! {
            item = streams.next() => panic!("{item:?}"),
            counters = fake_box.holds(STREAMS) => counters,
        }
    });
    let counters = counters.await.expect("all listen in time");
    println!(
        "all listen after {:?}; {} requests, {} lists, at most {} in a second; {} MB, {} s of CPU",
        began.elapsed(),
        counters["total"]["requests"],
        counters["options"]["requests"],
        counters["options"]["most_per_second"],
        resident() >> 20,
        cpu_seconds(),
    );
    counters
}

/// Checks the rate of lists: at most 500 per second, and 20 % more because a busy machine may bunch
/// them.
#[track_caller]
fn assert_no_storm(counters: &Value) {
    let lists = &counters["options"];
    assert_eq!(lists["requests"], STREAMS);
    assert!(lists["most_per_second"].as_u64().unwrap() <= 600, "{lists}");
    // Each stream fetches, lists and polls once.
    assert_eq!(counters["total"]["requests"], 3 * STREAMS);
}

#[test]
#[ignore = "needs 10,000 sockets in each of two processes for a minute: see the module's documentation"]
fn ten_thousand_streams_reconnect_within_their_limits() {
    if std::env::var_os(FAKE_BOX).is_some() {
        return serve();
    }
    raise_the_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::spawn(follow(FakeBox::start())).await })
        .unwrap();
}

async fn follow(fake_box: FakeBox) {
    let client = LongPollClient::builder()
        .api_origin(&*fake_box.origin)
        .realtime_hosts(RealtimeHosts::default().allow_loopback())
        .build(ReqwestTransport::new().unwrap(), token(TOKEN))
        .unwrap();
    let mut streams: Followed = (0..STREAMS)
        .map(|n| {
            (
                n,
                client.as_user(n.to_string()).unwrap().batches(StartAt::Now),
            )
        })
        .collect();
    let started = all_listen(&fake_box, &mut streams, Duration::from_secs(30)).await;
    assert_no_storm(&started);

    let cpu = cpu_seconds();
    let idle = timeout(Duration::from_secs(10), streams.next()).await;
    assert!(idle.is_err(), "{idle:?}");
    println!("{:.2} s of CPU in 10 s of listening", cpu_seconds() - cpu);

    fake_box
        .control(reqwest::Method::DELETE, "counters", &Value::Null)
        .await;
    let reconnect = json!({"fault": "signal", "message": "reconnect"});
    fake_box
        .control(reqwest::Method::POST, "interruptions", &reconnect)
        .await;
    let recovered = all_listen(&fake_box, &mut streams, Duration::from_secs(60)).await;
    assert_no_storm(&recovered);

    let one_each = json!({"count": 1});
    fake_box
        .control(reqwest::Method::POST, "events", &one_each)
        .await;
    let began = Instant::now();
    let mut delivered = BTreeSet::new();
    let all = timeout(Duration::from_secs(60), async {
        while delivered.len() < STREAMS {
            let (n, batch) = streams.next().await.unwrap();
            assert_eq!(batch.unwrap().len(), 1);
            assert!(delivered.insert(n), "{n} came twice");
        }
    });
    if all.await.is_err() {
        let counters = fake_box.counters().await;
        let mut others = streams.iter().filter(|(n, _)| !delivered.contains(n));
        let (delivered, other) = (delivered.len(), others.next());
        panic!("{delivered} streams have their event; one that has not: {other:?}; {counters}");
    }
    println!("an event for each within {:?}", began.elapsed());
}

/// Returns the memory of this process in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: usize = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib << 10
}

/// Returns the CPU time of this process so far, in seconds.
fn cpu_seconds() -> f64 {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(usage).unwrap().as_secs_f64()
}
