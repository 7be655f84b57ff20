//! [`Chromium`]: a browser without a window, which a test drives by its protocol for developers.
//!
//! The messages go through pipes, as JSON that ends with a zero byte, so that this needs neither a
//! WebSocket nor another program. Chromium reads them from file descriptor 3, and writes to 4.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::{env, thread};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::PATIENCE;

/// The names of the program on different systems. `CHROMIUM` has another one.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// The host name that leads to this machine, as an attacker would let their own name do.
pub(crate) const REBOUND: &str = "evil.example";

/// A running browser with one tab. Dropping this ends it.
pub(crate) struct Chromium {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    last_id: u64,
    session: Option<String>,
    /// The errors of the page, such as exceptions and violations of its policy.
    errors: Vec<Value>,
    _profile: TempDir,
}

impl Chromium {
    /// Starts the browser with an empty tab.
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#])
            .args([
                "sh",
                &program(),
                "--headless=new",
                "--remote-debugging-pipe",
            ])
            // Tests run as root in containers, where the sandbox does not work.
            .args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .arg(format!("--host-resolver-rules=MAP {REBOUND} 127.0.0.1"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok() && message.pop() == Some(0) {
                let message = std::mem::take(&mut message);
                if sender
                    .send(serde_json::from_slice(&message).unwrap())
                    .is_err()
                {
                    break;
                }
            }
        });
        let mut browser = Self {
            commands: child.stdin.take().unwrap(),
            child,
            messages,
            last_id: 0,
            session: None,
            errors: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", &attach);
        browser.session = session["sessionId"].as_str().map(Into::into);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Calls a method of the protocol, and returns its result.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        write!(self.commands, "{command}\0").unwrap();
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let mut message = message.expect("Chromium responds");
            if message["id"] == self.last_id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            match message["method"].as_str() {
                Some("Runtime.exceptionThrown") => self.errors.push(message),
                Some("Log.entryAdded") if message["params"]["entry"]["level"] == "error" => {
                    self.errors.push(message);
                }
                _ => {}
            }
        }
    }

    /// Opens a URL, and waits until its page is loaded.
    #[track_caller]
    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", &json!({ "url": url }));
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Returns the value of an expression.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let evaluate =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut result = self.call("Runtime.evaluate", &evaluate);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].take()
    }

    /// Waits until a condition holds.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, condition: &str) {
        let millis = PATIENCE.as_millis() / 2;
        let holds = self.value(&format!(
            "new Promise((resolve) => {{
                const end = performance.now() + {millis};
                const check = () => {{
                    const holds = {condition};
                    if (holds || performance.now() > end) resolve(Boolean(holds));
                    else setTimeout(check, 20);
                }};
                check();
            }})"
        ));
        if holds != true {
            let text = self.value("document.body.innerText");
            panic!("it never holds: {condition}\n{text}\n{:?}", self.errors);
        }
    }

    /// Sets the size of the tab, in CSS pixels, and its colors. Nothing is animated then.
    pub(crate) fn look(&mut self, width: u32, height: u32, colors: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let colors = json!([
            { "name": "prefers-color-scheme", "value": colors },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": colors }));
    }

    /// Presses and releases a key.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            " " => (32, " "),
            _ => panic!("an unknown key: {key}"),
        };
        let mut event = json!({ "key": key, "windowsVirtualKeyCode": code, "text": text });
        for kind in ["keyDown", "keyUp"] {
            event["type"] = json!(kind);
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Types a text into the element that has the focus.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Returns a picture of the tab, in PNG.
    pub(crate) fn picture(&mut self) -> Vec<u8> {
        use base64::Engine as _;

        let picture = self.call("Page.captureScreenshot", &json!({}));
        let picture = picture["data"].as_str().expect("a picture");
        base64::engine::general_purpose::STANDARD
            .decode(picture)
            .unwrap()
    }

    /// Asserts that the page had no error: no exception, and nothing that its policy forbids.
    #[track_caller]
    pub(crate) fn assert_no_errors(&mut self) {
        self.value("0");
        assert!(self.errors.is_empty(), "{:?}", self.errors);
    }
}

/// Returns the name of the browser's program.
fn program() -> String {
    let works = |name: &&str| {
        let version = Command::new(name).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    env::var("CHROMIUM").unwrap_or_else(|_| {
        let name = NAMES.into_iter().find(works);
        name.expect("Chromium is installed, or CHROMIUM names it")
            .into()
    })
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // This fails if the browser has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
