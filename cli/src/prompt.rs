//! The secret is typed on the terminal, which does not show it.

use std::io::{Error, ErrorKind};

use crate::exit::Failure;

/// As a credential in a file: bytes that are not text are refused. The terminal's control characters edit the line, and those
/// without a meaning (TAB) are left out.
pub(crate) fn secret(client: &str) -> Result<String, Failure> {
    let asked = format!("Secret of {client} (not shown): ");
    match uninterrupted(|| rpassword::prompt_password(asked)) {
        // rpassword reads it in place of bytes that are not UTF-8. A secret of a server does not have it.
        Ok(secret) if secret.contains('\u{fffd}') => Err(Failure::credential(
            "the secret that was typed is not UTF-8: set the terminal to it, or put the secret into a file",
        )),
        Ok(secret) => Ok(secret),
        Err(error) => Err(match error.kind() {
            ErrorKind::Interrupted => Failure::told(INTERRUPTED),
            ErrorKind::UnexpectedEof => Failure::credential("no secret was typed"),
            _ => Failure::credential(format!("the secret cannot be asked for, there is no terminal: {error}")),
        }),
    }
}

/// 128 and the number of the signal, as shells return it. Where there are signals, the process ends by it.
const INTERRUPTED: u8 = 130;

/// At Ctrl-C rpassword (7.5) raises the signal before it restores the terminal, which would stay without echo. The signal
/// waits until the terminal is restored, and then ends the process.
#[cfg(unix)]
fn uninterrupted<T>(ask: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use signal_hook::consts::SIGINT;

    let is_over = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register_conditional_default(SIGINT, Arc::clone(&is_over))?;
    let answer = ask();
    is_over.store(true, Ordering::SeqCst);
    if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {
        signal_hook::low_level::raise(SIGINT)?;
    }
    answer
}

#[cfg(not(unix))]
fn uninterrupted<T>(ask: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    ask()
}
