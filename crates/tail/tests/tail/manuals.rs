//! Tests of the completions and the manual pages.

use std::fs;

use crate::program::Tail;

#[test]
fn completions_know_commands_and_options_of_follow() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = Tail::start(&["completions", shell]).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let script = ended.events.join("\n");
        for word in ["follow", "completions", "checkpoint", "log-format"] {
            assert!(script.contains(word), "{word} for {shell}");
        }
    }
    let ended = Tail::start(&["completions", "csh"]).end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn bash_completes_words_of_each_command() {
    let ended = Tail::start(&["completions", "bash"]).end();
    let script = ended.events.join("\n");
    for (words, completed) in [
        (&["--chec"][..], "--checkpoint"),
        (&["doc"], "doctor"),
        (&["follow", "--chec"], "--checkpoint"),
        (&["check", "--webhook-b"], "--webhook-batch"),
        (&["follow", "--backend", "req"], "reqwest"),
        (&["positions", "exp"], "export"),
        (&["positions", "export", "--acc"], "--account"),
    ] {
        let last = words.len();
        let before = if last == 1 {
            "box-tail"
        } else {
            words[last - 2]
        };
        let (line, word) = (words.join(" "), words[last - 1]);
        let complete = format!(
            "COMP_WORDS=(box-tail {line}); COMP_CWORD={last}
            $(complete -p box-tail | sed 's/.*-F \\([^ ]*\\).*/\\1/') box-tail {word} {before}
            echo \"${{COMPREPLY[@]}}\""
        );
        let output = std::process::Command::new("bash")
            .args(["-c", &format!("{script}\n{complete}")])
            .output()
            .expect("there is bash");
        let output = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.trim(), completed, "{words:?}");
    }
}

#[test]
fn manual_has_a_page_for_each_command() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("man1");
    let ended = Tail::start(&["man", "--out", out.to_str().unwrap()]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let help = Tail::start(&["--help"]).end().events;
    let commands = help.iter().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let names: Vec<_> = commands
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.contains(&"follow"), "{names:?}");
    for name in names.iter().filter(|name| **name != "help") {
        let page = fs::read_to_string(out.join(format!("box-tail-{name}.1"))).expect(name);
        assert!(page.contains(".TH"), "{page}");
    }
    let page = fs::read_to_string(out.join("box-tail-follow.1")).unwrap();
    assert!(
        page.contains(r"\-\-checkpoint") && page.contains("Exit codes"),
        "{page}"
    );
    let printed = Tail::start(&["man"]).end().events.join("\n");
    assert!(printed.contains("box\\-tail"), "{printed}");
}
