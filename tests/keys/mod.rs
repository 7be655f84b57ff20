//! Keys that OpenSSL makes for one run of a test. None is kept: one in a repository or a package is found by everybody who
//! looks for leaked keys.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

pub(crate) const PASSPHRASE: &str = "the-passphrase-of-the-test";

/// One key for all tests of a process, as PKCS#8 that is not encrypted.
pub(crate) static KEY: LazyLock<String> =
    LazyLock::new(|| openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", "").unwrap());

/// The key as Box's developer console gives it: PKCS#8, encrypted by PBES2 with Triple DES and HMAC-SHA-1.
pub(crate) static FROM_CONSOLE: LazyLock<String> =
    LazyLock::new(|| key_by("pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA1 -passout PASS"));

/// The key's public half.
pub(crate) static PUBLIC_KEY: LazyLock<String> = LazyLock::new(|| key_by("pkey -pubout"));

/// The key in another format. `PASS` among the arguments stands for the passphrase.
#[track_caller]
pub(crate) fn key_by(arguments: &str) -> String {
    openssl(arguments, &KEY).unwrap()
}

/// Runs `openssl`, and returns its output, or else its errors.
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
    // A run that refuses its arguments reads nothing.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = process.wait_with_output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
