//! RSA keys that OpenSSL generates for one run of the tests.
//!
//! The repository contains no keys, because scanners for leaked keys would report them. The tests
//! of keys therefore need the program `openssl`. Start at [`KEY`] and [`key_by`].

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

pub(crate) const PASSPHRASE: &str = "the-passphrase-of-the-test";

/// The key for all tests of a process, as unencrypted PKCS#8.
pub(crate) static KEY: LazyLock<String> =
    LazyLock::new(|| openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", "").unwrap());

/// The key in the format of Box's developer console: PKCS#8, encrypted by PBES2 with Triple DES and
/// HMAC-SHA-1.
pub(crate) static FROM_CONSOLE: LazyLock<String> =
    LazyLock::new(|| key_by("pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA1 -passout PASS"));

/// The public part of the key.
pub(crate) static PUBLIC_KEY: LazyLock<String> = LazyLock::new(|| key_by("pkey -pubout"));

/// Converts the key to another format. `PASS` among the arguments stands for the passphrase.
#[track_caller]
pub(crate) fn key_by(arguments: &str) -> String {
    openssl(arguments, &KEY).unwrap()
}

/// Runs `openssl` with this input, and returns its output or its errors.
pub(crate) fn openssl(arguments: &str, input: &str) -> Result<String, String> {
    let passphrase = format!("pass:{PASSPHRASE}");
    let arguments = arguments
        .split(' ')
        .map(|word| if word == "PASS" { &passphrase } else { word });
    let mut process = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tests of keys run the program openssl");
    let mut stdin = process.stdin.take().unwrap();
    // If `openssl` refuses its arguments, it reads nothing.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = process.wait_with_output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
