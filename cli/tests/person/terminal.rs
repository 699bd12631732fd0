//! At a terminal: the prompt, and colours.

use super::*;

/// The prompt is there a moment before the terminal stops to echo: too short for a person, long enough for a test.
fn until_it_hides_what_is_typed(seen: &str) {
    let terminal = seen.lines().next().unwrap().trim();
    assert!(terminal.starts_with("/dev/pts/"), "{seen}");
    loop {
        let output = Command::new("stty").args(["-F", terminal, "-a"]).output().unwrap();
        if String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word == "-echo") {
            return;
        }
        std::thread::yield_now();
    }
}

/// In a terminal that `script` of util-linux opens, with `typed` at the keyboard. What the terminal is set to afterwards is
/// printed at the end.
fn in_a_terminal(server: &AuthorizationServer, arguments: &str, typed: &[u8], vars: &[(&str, &str)]) -> String {
    let mut command = Command::new("script");
    // With the trap the shell goes on when the program ends by the signal.
    let line = format!("tty; trap : INT; {PROGRAM} {arguments}; echo \"code $?\"; stty -a");
    command.args(["-qec", &line, "/dev/null"]);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("TERM", "xterm");
    command
        .env("CLIENT_CREDENTIALS_TOKEN_ENDPOINT", server.token_url())
        .env("CLIENT_CREDENTIALS_AUTH_CLIENT_ID", "billing");
    command.envs(vars.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut keyboard = child.stdin.take();
    let mut buffer = [0; 1024];
    // Typed when it is asked for: what is typed earlier is echoed by any terminal.
    loop {
        match std::io::Read::read(&mut stdout, &mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => seen.extend_from_slice(&buffer[..n]),
        }
        if String::from_utf8_lossy(&seen).contains("not shown): ") {
            if let Some(mut keyboard) = keyboard.take() {
                until_it_hides_what_is_typed(&String::from_utf8_lossy(&seen));
                keyboard.write_all(typed).unwrap();
                std::mem::forget(keyboard);
            }
        }
    }
    child.wait().unwrap();
    String::from_utf8_lossy(&seen).into_owned()
}

#[test]
fn in_a_terminal_the_secret_is_asked_for_and_not_shown() {
    let server = server();
    let seen = in_a_terminal(&server, "token", format!("{CANARY}\n").as_bytes(), &[]);
    assert!(seen.contains("Secret of billing (not shown)"), "{seen}");
    assert!(!seen.contains(CANARY), "{seen}");
    assert_eq!(server.requests().last().map(|request| request.status()), Some(Some(200)), "{seen}");
}

#[test]
fn a_prompt_that_is_left_or_answered_with_something_else_than_text_sends_nothing() {
    // F21
    for (typed, code, told) in [
        // By the signal, as a shell expects it.
        (&b"half\x03"[..], "code 130", ""),
        (b"\x03", "code 130", ""),
        (b"\x04", "code 3", "no secret was typed"),
        (b"\n", "code 2", "auth.secret is empty"),
        (b"\xff\xfe\n", "code 3", "not UTF-8"),
        // The first bytes after it are read as its continuation.
        (b"caf\xe9\n\n\n", "code 3", "not UTF-8"),
    ] {
        let server = server();
        let seen = in_a_terminal(&server, "token", typed, &[]);
        assert!(seen.contains(code) && seen.contains(told), "{typed:?}: {seen}");
        assert_eq!(server.requests().len(), 0, "{typed:?}");
        let after: Vec<_> = seen.split_once(code).unwrap().1.split([' ', ';', '\r', '\n']).collect();
        assert!(["echo", "icanon", "isig"].iter().all(|flag| after.contains(flag)), "{typed:?}: {seen}");
    }
}

#[test]
fn in_a_terminal_the_verdict_has_colours_unless_they_are_not_wanted() {
    let server = server();
    let secret = ("CLIENT_CREDENTIALS_AUTH_SECRET", CANARY);
    let seen = in_a_terminal(&server, "diagnose", b"", &[secret]);
    assert!(seen.contains("\x1b[32mok\x20\x1b[0m") && seen.contains("It works"), "{seen:?}");
    let seen = in_a_terminal(&server, "diagnose", b"", &[secret, ("NO_COLOR", "1")]);
    assert!(!seen.contains("\x1b[32m"), "{seen:?}");
}
