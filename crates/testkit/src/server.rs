use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::connection;
use crate::{
    Answer, Application, Config, Counters, Emulator, Endpoint, Fault, HoldId, Reply, RequestRecord,
    Settings,
};

/// How often `rate` is heeded.
const TICK: Duration = Duration::from_millis(10);

/// The emulator as an HTTP server on a thread of its own.
///
/// It stops, and closes every connection, when it is dropped.
#[derive(Debug)]
pub struct EmulatorServer {
    origin: String,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EmulatorServer {
    /// Starts on a free port of the loopback interface.
    ///
    /// # Panics
    ///
    /// Where no such port can be had.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Config::default())
    }

    /// Starts on a free port of the loopback interface, with a configuration or settings.
    ///
    /// # Panics
    ///
    /// Where no such port can be had.
    #[must_use]
    pub fn start_with(config: impl Into<Config>) -> Self {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), config).expect("a loopback port can be had")
    }

    /// Starts on an address.
    ///
    /// # Errors
    ///
    /// Where the address can't be bound, or no thread can be had.
    pub fn start_on(address: SocketAddr, config: impl Into<Config>) -> io::Result<Self> {
        let mut config = config.into();
        let since_1970 = config.started_unix.is_none().then(since_1970);
        if let Some(since_1970) = since_1970 {
            config.started_unix = i64::try_from(since_1970.as_secs()).ok();
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = listen(&runtime, address)?;
        let origin = format!("http://{}", listener.local_addr()?);
        let max_connections = config.max_connections;
        let mut emulator = Emulator::new(config, now());
        if let Some(since_1970) = since_1970 {
            // Without it the emulator's clock is late by up to a second, and a JWT's claims are from the future.
            emulator.start_in_second(Duration::from_nanos(since_1970.subsec_nanos().into()));
        }
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                emulator,
                wakers: HashMap::new(),
            }),
            changed: Condvar::new(),
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

    /// What to put in place of `https://api.box.com`: `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The emulator itself. What is held open is answered, where it must be, when the guard is dropped.
    ///
    /// No request is answered while the guard lives.
    #[must_use]
    pub fn emulator(&self) -> EmulatorGuard<'_> {
        self.shared.lock()
    }

    /// Appends realistic events to an account: it is named by the token, unless the settings say otherwise.
    pub fn append(&self, account: &str, count: usize) {
        self.emulator().append(account, count, now());
    }

    /// Appends events as they are.
    pub fn append_json<E: Into<Arc<str>>>(
        &self,
        account: &str,
        events: impl IntoIterator<Item = E>,
    ) {
        self.emulator().append_json(account, events, now());
    }

    /// Gives an account the log of another in place of its own. The two share its memory until one of them changes.
    pub fn copy_log(&self, from: &str, to: &str) {
        self.emulator().copy_log(from, to);
    }

    /// The ids of an account's retained events, in the order of their first appearance.
    #[must_use]
    pub fn event_ids(&self, account: &str) -> Vec<String> {
        self.emulator().event_ids(account)
    }

    /// Changes the settings.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        self.emulator().change_settings(change);
    }

    /// Lets the next `times` requests of an endpoint meet a fault.
    ///
    /// # Panics
    ///
    /// Where the fault [means nothing](Fault::applies_to) on the endpoint.
    #[track_caller]
    pub fn queue_fault(&self, endpoint: Endpoint, fault: Fault, times: u32) {
        assert!(
            fault.applies_to(endpoint),
            "{} means nothing on {endpoint:?}",
            fault.name()
        );
        self.emulator().queue_fault(endpoint, fault, times);
    }

    /// Ends the polls that are open at this moment with a fault. Returns how many there are.
    #[must_use = "says whether there was a poll to interrupt"]
    pub fn interrupt_polls(&self, fault: &Fault) -> usize {
        self.emulator().interrupt_polls(None, fault)
    }

    /// Refuses a token from now on.
    pub fn revoke(&self, token: &str) {
        self.change_settings(|settings| {
            settings.revoked_tokens.insert(token.into());
        });
    }

    /// Registers an application at the token endpoint, or replaces it. What was issued to it stays.
    pub fn register(&self, application: Application) {
        self.emulator().register(application);
    }

    /// Changes an application: its keys, say, or whether the admin authorizes it.
    ///
    /// # Panics
    ///
    /// Where no application has that client id.
    #[track_caller]
    pub fn change_application(&self, client_id: &str, change: impl FnOnce(&mut Application)) {
        self.emulator().change_application(client_id, change);
    }

    /// A refresh token, as the application has it from a user who authorized it.
    #[must_use = "nobody else will ever have it"]
    pub fn grant_refresh_token(&self, client_id: &str, user_id: &str) -> String {
        self.emulator()
            .grant_refresh_token(client_id, user_id, now())
    }

    /// An authorization code, as the application has it from a user who authorized it. It expires in 30 seconds.
    #[must_use = "nobody else will ever have it"]
    pub fn grant_authorization_code(&self, client_id: &str, user_id: &str) -> String {
        self.emulator()
            .grant_authorization_code(client_id, user_id, now())
    }

    /// What was asked so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.emulator().counters()
    }

    /// The last requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.emulator().requests().cloned().collect()
    }

    /// Waits until something holds of the emulator: `|emulator| emulator.counters().open_polls == 1`. Returns whether
    /// it came to hold in time.
    ///
    /// The thread is blocked meanwhile. In async code whose runtime has no other thread, call it from `spawn_blocking`.
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
            // The thread's own panic message has been printed already.
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

/// What the server's thread and the test's threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    emulator: Emulator,
    wakers: HashMap<HoldId, oneshot::Sender<()>>,
}

impl Shared {
    pub(crate) fn lock(&self) -> EmulatorGuard<'_> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        EmulatorGuard {
            state,
            changed: &self.changed,
        }
    }
}

/// Exclusive use of a server's [`Emulator`].
#[derive(Debug)]
pub struct EmulatorGuard<'a> {
    state: MutexGuard<'a, State>,
    changed: &'a Condvar,
}

/// What a connection does about a reply.
pub(crate) enum Next {
    Answer(Answer),
    Wait(Wait),
}

/// What a held request waits for.
pub(crate) struct Wait {
    pub(crate) id: HoldId,
    pub(crate) until: Option<Instant>,
    pub(crate) woken: oneshot::Receiver<()>,
}

impl EmulatorGuard<'_> {
    /// Arranges for a held request to be woken. To be called before the guard is dropped, lest a change be missed.
    pub(crate) fn follow(&mut self, reply: Reply) -> Next {
        match reply {
            Reply::Answer(answer) => Next::Answer(answer),
            Reply::Hold { id, until } => {
                let (wake, woken) = oneshot::channel();
                self.state.wakers.insert(id, wake);
                Next::Wait(Wait { id, until, woken })
            }
        }
    }

    /// Forgets a request that isn't waited for any more.
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
        for id in self.state.emulator.take_ready() {
            if let Some(wake) = self.state.wakers.remove(&id) {
                // Whoever doesn't listen any more has been hung up already.
                let _ = wake.send(());
            }
        }
        self.changed.notify_all();
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
    // Thousands of clients may come at once.
    socket.listen(16_384)
}

async fn keep_producing(shared: &Shared) {
    loop {
        tokio::time::sleep(TICK).await;
        let mut emulator = shared.lock();
        emulator.advance(now());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server is where the emulator gets its clock from"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server is where the emulator gets its date from"
)]
fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}
