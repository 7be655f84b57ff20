//! Tests of the formats of the application's key, from OpenSSL, SSH and `PuTTY`, and of the changes
//! that copying makes to its text. Errors name the format, and the command that converts the key.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use box_longpoll::ErrorKind;
use box_longpoll::auth::JwtBearer;
use rstest::rstest;

use crate::grants::configuration;
use crate::jwt::assert_gives_a_token;
use crate::keys::{FROM_CONSOLE, KEY, PASSPHRASE, key_by, openssl};

const TRADITIONAL: &str = "pkey -traditional -des3 -passout PASS";

fn app(key: &str) -> Result<JwtBearer, box_longpoll::Error> {
    JwtBearer::from_json(configuration(key).to_string())
}

/// Returns the error for this key, and panics if the error shows any part of the key.
#[track_caller]
fn refusal(key: &str) -> String {
    let error = app(key).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let said = format!("{error} {error:?}");
    let base64 = |line: &&str| !line.contains([' ', ':', ',']) && line.len() > 15;
    for secret in key.lines().filter(base64).chain([PASSPHRASE]) {
        assert!(!said.contains(secret), "{said}");
    }
    error.to_string()
}

#[rstest]
#[case::plain("pkcs8 -topk8 -nocrypt")]
#[case::des3_sha1("pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA1 -passout PASS")]
#[case::des3_sha256("pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA256 -passout PASS")]
#[case::aes_128("pkcs8 -topk8 -v2 aes-128-cbc -v2prf hmacWithSHA224 -passout PASS")]
#[case::aes_192("pkcs8 -topk8 -v2 aes-192-cbc -v2prf hmacWithSHA384 -passout PASS")]
#[case::aes_256("pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA512 -passout PASS")]
#[case::scrypt("pkcs8 -topk8 -scrypt -passout PASS")]
#[case::by_default("pkcs8 -topk8 -passout PASS")]
#[case::traditional("pkey -traditional")]
#[case::traditional_des3(TRADITIONAL)]
#[case::traditional_aes_128("pkey -traditional -aes128 -passout PASS")]
#[case::traditional_aes_192("pkey -traditional -aes192 -passout PASS")]
#[case::traditional_aes_256("pkey -traditional -aes256 -passout PASS")]
fn a_key_that_openssl_writes_is_read(#[case] arguments: &str) {
    let key = key_by(arguments);
    assert_gives_a_token(app(&key).unwrap());
}

#[test]
fn key_from_the_command_in_boxs_guide_is_read() {
    let key = openssl("genrsa -des3 -passout PASS 2048", "").unwrap();
    let _app = app(&key).unwrap();
}

#[rstest]
#[case::no_last_line_break("", "\n", "")]
#[case::trailing_spaces("", " \t\n", " \t\n")]
#[case::blank_lines("\n\n", "\n\n", "\n\n\n")]
#[case::indented("  ", "\n    ", "\n    ")]
#[case::of_windows("", "\r\n", "\r\n")]
#[case::spelled_out("", "\\n", "\\n")]
#[case::spelled_out_of_windows("", "\\r\\n", "\\r\\n")]
#[case::spelled_out_and_real("", "\\n\n", "\\n\n")]
#[case::spaces_for_line_breaks("", " ", " ")]
#[case::byte_order_mark("\u{feff}", "\n", "\n")]
#[case::between_certificates(&certificate(), "\n", &certificate())]
#[case::after_attributes("Bag Attributes\nKey Attributes: <No Attributes>\n", "\n", "\n")]
fn key_is_read_when_its_line_breaks_or_surroundings_differ(
    #[case] before: &str,
    #[case] line_break: &str,
    #[case] after: &str,
    #[values(&*KEY, &*FROM_CONSOLE, &key_by(TRADITIONAL))] key: &str,
) {
    let key = key.trim_end().replace('\n', line_break);
    assert_gives_a_token(app(&format!("{before}{key}{after}")).unwrap());
}

fn certificate() -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    fs::write(&file, &*KEY).unwrap();
    let arguments = format!("req -new -x509 -subj /CN=x -key {}", file.display());
    openssl(&arguments, "").unwrap()
}

/// One wrong passphrase in 256 decrypts to bytes that look like valid padding. The traditional
/// format is cheap to decrypt, so it is tested with 2,000 passphrases.
#[rstest]
#[case::pkcs8(&FROM_CONSOLE, 1)]
#[case::traditional(&key_by(TRADITIONAL), 2_000)]
fn wrong_passphrase_is_reported_as_such(#[case] key: &str, #[case] passphrases: u32) {
    let mut configuration = configuration(key);
    for number in 0..passphrases {
        let passphrase = &mut configuration["boxAppSettings"]["appAuth"]["passphrase"];
        *passphrase = format!("canary {number}").into();
        let error = JwtBearer::from_json(configuration.to_string()).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("is the passphrase the right one?"), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
}

#[rstest]
#[case::aria("pkcs8 -topk8 -v2 aria-256-cbc -passout PASS", "1.2.410.200046.1.1.12")]
#[case::another_prf(
    "pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithMD5 -passout PASS",
    "1.2.840.113549.2.6"
)]
#[case::pbes1_des3(
    "pkcs8 -topk8 -v1 PBE-SHA1-3DES -passout PASS",
    "1.2.840.113549.1.12.1.3"
)]
#[case::traditional_aria("pkey -traditional -aria128 -passout PASS", "ARIA-128-CBC")]
#[case::traditional_camellia("pkey -traditional -camellia256 -passout PASS", "CAMELLIA-256-CBC")]
fn unknown_cipher_is_an_error_with_a_working_conversion(
    #[case] arguments: &str,
    #[case] name: &str,
) {
    let key = key_by(arguments);
    let said = refusal(&key);
    assert!(said.contains(name), "{said}");
    assert!(!said.contains("the right one"), "{said}");
    let directory = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| directory.path().join(name));
    fs::write(&old, &key).unwrap();
    let options = format!(" -passin pass:{PASSPHRASE} -passout pass:{PASSPHRASE}");
    run(named_in(&said), &[("OLD", &old), ("NEW", &new)], &options);
    assert_gives_a_token(app(&fs::read_to_string(&new).unwrap()).unwrap());
}

#[rstest]
#[case::pkcs8("pkcs8 -topk8 -nocrypt")]
#[case::traditional("pkey -traditional")]
#[case::encrypted("pkcs8 -topk8 -passout PASS")]
fn key_in_der_is_an_error_with_a_working_conversion(#[case] arguments: &str) {
    let pem = key_by(arguments);
    let base64: String = pem.lines().filter(|line| !line.contains('-')).collect();
    let said = refusal(&base64);
    let directory = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| directory.path().join(name));
    fs::write(&old, STANDARD.decode(base64).unwrap()).unwrap();
    let options = format!(" -passin pass:{PASSPHRASE} -passout pass:{PASSPHRASE}");
    run(named_in(&said), &[("OLD", &old), ("NEW", &new)], &options);
    assert_gives_a_token(app(&fs::read_to_string(&new).unwrap()).unwrap());
}

#[rstest]
#[case::ec("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", "an EC key")]
#[case::rsa_pss(
    "genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048",
    "for RSA-PSS alone"
)]
#[case::ed25519("genpkey -algorithm ED25519", "1.3.101.112")]
fn key_that_is_not_rsa_is_an_error_that_names_its_algorithm(
    #[case] arguments: &str,
    #[case] name: &str,
) {
    let key = openssl(arguments, "").unwrap();
    let encrypted = openssl("pkcs8 -topk8 -passout PASS", &key).unwrap();
    for key in [key, encrypted] {
        let said = refusal(&key);
        assert!(said.contains(name), "{said}");
        assert!(said.contains("openssl genrsa"), "{said}");
    }
}

#[test]
fn key_of_1_024_bits_is_an_error_that_names_the_minimum() {
    let key = openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024", "").unwrap();
    let said = refusal(&key);
    assert!(said.contains("2,048"), "{said}");
}

#[rstest]
#[case::ec_traditional(&openssl("ecparam -name prime256v1 -genkey", "").unwrap(), "an EC key")]
#[case::public(&key_by("pkey -pubout"), "a public key")]
#[case::certificate(&certificate(), "a certificate")]
#[case::ssh_public(
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ user@host",
    "a public key of SSH"
)]
#[case::dsa(
    "-----BEGIN DSA PRIVATE KEY-----\nMAA=\n-----END DSA PRIVATE KEY-----",
    "a DSA key"
)]
#[case::openssh(
    "-----BEGIN OPENSSH PRIVATE KEY-----\nMAA=\n-----END OPENSSH PRIVATE KEY-----",
    "`ssh-keygen -p -m PKCS8 -f COPY`"
)]
#[case::putty(
    "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\n",
    "`puttygen OLD -O private-openssh -o NEW`"
)]
#[case::no_end(KEY.split("-----END").next().unwrap(), "has no end")]
#[case::not_base64(
    "-----BEGIN PRIVATE KEY-----\ncanary!\n-----END PRIVATE KEY-----",
    "not base64"
)]
fn other_text_is_an_error_that_names_its_kind(#[case] text: &str, #[case] name: &str) {
    let said = refusal(text);
    assert!(said.contains(name), "{said}");
    assert!(!said.contains("canary"), "{said}");
}

#[test]
#[ignore = "runs ssh-keygen and puttygen: .ci/run installs them"]
fn the_commands_for_keys_of_ssh_and_putty_convert_them() {
    let directory = tempfile::tempdir().unwrap();
    let [passphrase, ssh, putty, new] =
        ["passphrase", "ssh", "putty", "new"].map(|name| directory.path().join(name));
    fs::write(&passphrase, PASSPHRASE).unwrap();
    let passphrase = passphrase.to_str().unwrap();

    let make = format!("ssh-keygen -q -t rsa -b 2048 -N {PASSPHRASE} -f OLD");
    run(&make, &[("OLD", &ssh)], "");
    let said = refusal(&fs::read_to_string(&ssh).unwrap());
    let options = format!(" -P {PASSPHRASE} -N {PASSPHRASE}");
    run(named_in(&said), &[("COPY", &ssh)], &options);
    let _app = app(&fs::read_to_string(&ssh).unwrap()).unwrap();

    let make = format!("puttygen -q -t rsa -b 2048 --new-passphrase {passphrase} -o OLD");
    run(&make, &[("OLD", &putty)], "");
    let said = refusal(&fs::read_to_string(&putty).unwrap());
    let options = format!(" --old-passphrase {passphrase}");
    run(named_in(&said), &[("OLD", &putty), ("NEW", &new)], &options);
    let _app = app(&fs::read_to_string(&new).unwrap()).unwrap();
}

/// Returns the command between the backquotes.
fn named_in(said: &str) -> &str {
    said.split('`').nth(1).unwrap()
}

/// Runs a command with more options. The names in `files` are replaced with their paths.
#[track_caller]
fn run(command: &str, files: &[(&str, &Path)], options: &str) {
    let command = format!("{command}{options}");
    let words = command.split(' ').map(|word| {
        let file = files.iter().find(|(name, _)| *name == word);
        file.map_or(word, |(_, file)| file.to_str().unwrap())
    });
    let words: Vec<&str> = words.collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{words:?} {output:?}");
}
