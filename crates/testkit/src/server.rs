//! The emulator as an HTTP server on a thread of its own.
//!
//! The server supplies what [`Emulator`] lacks: a network and a clock. Tests share the emulator
//! with the server through a mutex, and changes wake the held requests. Connections are in
//! `connection`. Start from [`EmulatorServer`].

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};

use crate::connection;
use crate::line::Network;
use crate::tls::Tls;
use crate::{
    Application, Config, Counters, Emulator, Endpoint, FakeResponse, Fault, HoldId, PastEvents,
    Reply, RequestRecord, Settings,
};

/// The interval at which the server appends the events of [`Settings::rate`].
const APPEND_INTERVAL: Duration = Duration::from_millis(10);

/// The emulator as an HTTP server on a thread of its own.
///
/// When it is dropped, it stops and closes every connection.
#[derive(Debug)]
pub struct EmulatorServer {
    origin: String,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EmulatorServer {
    /// Starts a server on a free port of the loopback interface.
    ///
    /// # Panics
    ///
    /// Panics if no such port is available.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Config::default())
    }

    /// Starts a server on a free port of the loopback interface, with a [`Config`] or [`Settings`].
    ///
    /// # Panics
    ///
    /// Panics if no such port is available, or if [`Config::tls`] is set without the feature `tls`.
    #[must_use]
    pub fn start_with(config: impl Into<Config>) -> Self {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), config)
            .expect("a loopback port is available, and TLS if it is configured")
    }

    /// Starts a server on an address.
    ///
    /// # Errors
    ///
    /// Returns an error if the address can't be bound, if the thread can't be started, or if
    /// [`Config::tls`] is set without the feature `tls`.
    pub fn start_on(address: SocketAddr, config: impl Into<Config>) -> io::Result<Self> {
        let mut config = config.into();
        let since_1970 = config.started_unix.is_none().then(since_1970);
        if let Some(since_1970) = since_1970 {
            config.started_unix = i64::try_from(since_1970.as_secs()).ok();
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = listen(&runtime, address)?;
        let address = listener.local_addr()?;
        let tls = config.tls.then(|| Tls::new(address.ip())).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = format!("{scheme}://{address}");
        let max_connections = config.max_connections;
        let network = watch::Sender::new(Network::of(&config.settings));
        let mut emulator = Emulator::new(config, now());
        if let Some(since_1970) = since_1970 {
            // Without the fraction, the emulator's clock is up to a second late, and the claims of
            // a new JWT lie in its future.
            emulator.start_in_second(Duration::from_nanos(since_1970.subsec_nanos().into()));
        }
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                emulator,
                wakers: HashMap::new(),
            }),
            changed: Condvar::new(),
            network,
            tls,
        });
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("box-emulator".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = connection::accept(listener, &served, max_connections) => {}
                        () = keep_producing(&served) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            origin,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns the origin that replaces `https://api.box.com`: `http://127.0.0.1:PORT`, without a
    /// slash at the end. With [`Config::tls`] its scheme is `https`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the certificate of the authority that clients must trust, in PEM. Each server has an
    /// authority of its own. `None` without [`Config::tls`].
    #[must_use]
    pub fn authority_pem(&self) -> Option<&str> {
        self.shared.tls.as_ref().map(Tls::authority_pem)
    }

    /// Locks the emulator and returns a guard.
    ///
    /// While the guard lives, the server responds to no request. When it is dropped, held requests
    /// that now have a response get it.
    #[must_use]
    pub fn emulator(&self) -> EmulatorGuard<'_> {
        self.shared.lock()
    }

    /// Appends realistic events to an account. An account's name is its token, unless
    /// [`Settings::token_accounts`] maps the token to another name.
    pub fn append(&self, account: &str, count: usize) {
        self.emulator().append(account, count, now());
    }

    /// Appends events without changes. They may be any JSON.
    pub fn append_json<E: Into<Arc<str>>>(
        &self,
        account: &str,
        events: impl IntoIterator<Item = E>,
    ) {
        self.emulator().append_json(account, events, now());
    }

    /// Appends past events of an enterprise to an account. A million events take about a second.
    pub fn append_past(&self, account: &str, past: &PastEvents) {
        self.emulator().append_past(account, past, now());
    }

    /// Returns the time of the emulator's clock, in seconds since 1970.
    #[must_use]
    pub fn unix(&self) -> i64 {
        self.emulator().unix(now())
    }

    /// Replaces the log of the account `to` by that of `from`. The two share memory until one of
    /// them changes.
    pub fn copy_log(&self, from: &str, to: &str) {
        self.emulator().copy_log(from, to);
    }

    /// Returns the IDs of an account's retained events, in the order of their first appearance.
    #[must_use]
    pub fn event_ids(&self, account: &str) -> Vec<String> {
        self.emulator().event_ids(account)
    }

    /// Changes the settings.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        self.emulator().change_settings(change);
    }

    /// Queues a fault for the next `times` requests of an endpoint.
    ///
    /// # Panics
    ///
    /// Panics if the fault [does not apply](Fault::applies_to) to the endpoint.
    #[track_caller]
    pub fn queue_fault(&self, endpoint: Endpoint, fault: Fault, times: u32) {
        assert!(
            fault.applies_to(endpoint),
            "the fault {} does not apply to {endpoint:?}",
            fault.name()
        );
        self.emulator().queue_fault(endpoint, fault, times);
    }

    /// Ends all open polls with a fault. Returns their number.
    #[must_use = "the number shows if there was a poll to interrupt"]
    pub fn interrupt_polls(&self, fault: &Fault) -> usize {
        self.emulator().interrupt_polls(None, fault)
    }

    /// Refuses a token from now on.
    pub fn revoke(&self, token: &str) {
        self.change_settings(|settings| {
            settings.revoked_tokens.insert(token.into());
        });
    }

    /// Registers an application at the token endpoint, or replaces it. Its issued tokens stay
    /// valid.
    pub fn register(&self, application: Application) {
        self.emulator().register(application);
    }

    /// Changes an application, for example its keys or its authorization by the admin.
    ///
    /// # Panics
    ///
    /// Panics if no application has that client ID.
    #[track_caller]
    pub fn change_application(&self, client_id: &str, change: impl FnOnce(&mut Application)) {
        self.emulator().change_application(client_id, change);
    }

    /// Issues a refresh token, as if the user had authorized the application.
    #[must_use = "the token can't be retrieved later"]
    pub fn grant_refresh_token(&self, client_id: &str, user_id: &str) -> String {
        self.emulator()
            .grant_refresh_token(client_id, user_id, now())
    }

    /// Issues an authorization code, as if the user had authorized the application. The code
    /// expires after 30 s.
    #[must_use = "the code can't be retrieved later"]
    pub fn grant_authorization_code(&self, client_id: &str, user_id: &str) -> String {
        self.emulator()
            .grant_authorization_code(client_id, user_id, now())
    }

    /// Returns the counters of all requests so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.emulator().counters()
    }

    /// Returns the last requests, oldest first: as many as [`Config::request_log_capacity`] says.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.emulator().requests().cloned().collect()
    }

    /// Waits until a condition holds, such as `|emulator| emulator.counters().open_polls == 1`.
    /// Returns `true` if it holds before `at_most` has passed.
    ///
    /// This blocks the thread. In async code, call it from `spawn_blocking`, at least if the
    /// runtime has only one thread.
    #[must_use]
    pub fn wait_until(&self, at_most: Duration, mut holds: impl FnMut(&Emulator) -> bool) -> bool {
        let state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, at_most, |state| !holds(&state.emulator));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Serves until the process ends.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, its message is already printed.
            let _ = thread.join();
        }
    }
}

impl Drop for EmulatorServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The state that the server's thread shares with the test's threads.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Notified whenever a guard is dropped, because the emulator may have changed.
    changed: Condvar,
    /// The network that the settings describe, for connections to read without the lock.
    pub(crate) network: watch::Sender<Network>,
    pub(crate) tls: Option<Tls>,
}

#[derive(Debug)]
struct State {
    emulator: Emulator,
    /// The senders that wake the connections of held requests.
    wakers: HashMap<HoldId, oneshot::Sender<()>>,
}

impl Shared {
    pub(crate) fn lock(&self) -> EmulatorGuard<'_> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        EmulatorGuard {
            state,
            shared: self,
        }
    }

    /// Returns `true` if API calls need TLS or have a distance. Then no connection may serve both
    /// an API call and a control request that has neither.
    pub(crate) fn separates_control(&self) -> bool {
        self.tls.is_some() || self.network.borrow().has_distance()
    }
}

/// A lock on a server's [`Emulator`]. The server waits while it is held.
#[derive(Debug)]
pub struct EmulatorGuard<'a> {
    state: MutexGuard<'a, State>,
    shared: &'a Shared,
}

/// The next step of a connection after a reply.
pub(crate) enum Next {
    /// Send the response.
    Respond(FakeResponse),
    /// Wait, because the request is held.
    Wait(Wait),
}

/// The events that end the wait of a held request.
pub(crate) struct Wait {
    pub(crate) id: HoldId,
    pub(crate) until: Option<Instant>,
    pub(crate) woken: oneshot::Receiver<()>,
}

impl EmulatorGuard<'_> {
    /// Registers a held request to be woken. Call this with the guard under which the reply was
    /// made, or a change may be missed.
    pub(crate) fn follow(&mut self, reply: Reply) -> Next {
        match reply {
            Reply::Respond(response) => Next::Respond(response),
            Reply::Hold { id, until } => {
                let (wake, woken) = oneshot::channel();
                self.state.wakers.insert(id, wake);
                Next::Wait(Wait { id, until, woken })
            }
        }
    }

    /// Removes a held request whose connection no longer waits for it.
    pub(crate) fn give_up(&mut self, id: HoldId) {
        self.state.wakers.remove(&id);
        self.hang_up(id);
    }
}

impl Deref for EmulatorGuard<'_> {
    type Target = Emulator;

    fn deref(&self) -> &Emulator {
        &self.state.emulator
    }
}

impl DerefMut for EmulatorGuard<'_> {
    fn deref_mut(&mut self) -> &mut Emulator {
        &mut self.state.emulator
    }
}

impl Drop for EmulatorGuard<'_> {
    fn drop(&mut self) {
        let network = Network::of(self.settings());
        self.shared.network.send_if_modified(|current| {
            let previous = std::mem::replace(current, network);
            previous != network
        });
        for id in self.state.emulator.take_ready() {
            if let Some(wake) = self.state.wakers.remove(&id) {
                // If the receiver is gone, its connection has ended and hangs the request up
                // itself.
                let _ = wake.send(());
            }
        }
        self.shared.changed.notify_all();
    }
}

fn listen(runtime: &Runtime, address: SocketAddr) -> io::Result<TcpListener> {
    let _inside = runtime.enter();
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    // Thousands of clients may connect at once.
    socket.listen(16_384)
}

async fn keep_producing(shared: &Shared) {
    loop {
        tokio::time::sleep(APPEND_INTERVAL).await;
        let mut emulator = shared.lock();
        emulator.advance(now());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server supplies the emulator's clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server supplies the emulator's date"
)]
fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}
