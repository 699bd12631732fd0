//! `client-credentials`: obtains tokens, and diagnoses failures.

mod args;
mod configuration;
mod exit;
mod keep;
mod output;
mod prompt;
mod request;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use client_credentials::{ClientCredentials, ClientCredentialsBuilder};

use args::{Arguments, Command};
use exit::Failure;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    let result = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => Err(Failure::other(format!("no runtime: {error}"))),
    };
    if let Err(failure) = &result {
        failure.tell(json);
    }
    exit::code(result)
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    if let Command::Completions { shell } = arguments.command {
        return completions(shell);
    }
    let config = configuration::read(&arguments)?;
    let is_dry = matches!(arguments.command, Command::Explain | Command::Config);
    if let Command::Config = arguments.command {
        return output::members(&config, arguments.json);
    }
    let ca_file = config.get("http.ca_file").and_then(|path| path.as_str()).map(str::to_owned);
    let config = if is_dry { config } else { configuration::complete(config, &arguments)? };
    let builder = ClientCredentials::builder_from(config)?.observe(keep::observer(arguments.json));
    match &arguments.command {
        Command::Token => {
            let token = builder.build()?.token().await?;
            output::token(&token, arguments.json)
        }
        Command::Header => {
            let token = builder.build()?.token().await?;
            output::header(&token, arguments.json)
        }
        Command::Request(asked) => request::send(&builder.build()?, asked, ca_file.as_deref()).await,
        Command::Explain => output::shown(&builder.explain(), arguments.json),
        Command::Diagnose { api, no_token_request } => {
            diagnose(&builder, api.clone(), !no_token_request, arguments.json).await
        }
        Command::Config | Command::Completions { .. } => Ok(()),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    // Written at once: it would panic when the reader goes away.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "client-credentials", &mut script);
    // clap issue 6421: a name with a hyphen is spelled in two ways, so that bash completes no option of a subcommand.
    output::line(&String::from_utf8_lossy(&script).replace("client__subcmd__credentials", "client__credentials"))
}

async fn diagnose(
    builder: &ClientCredentialsBuilder,
    api: Option<String>,
    token_request: bool,
    json: bool,
) -> Result<(), Failure> {
    let mut diagnosis = builder.diagnose().token_request(token_request);
    if let Some(api) = api {
        diagnosis = diagnosis.api(api);
    }
    let is_live = std::io::stderr().is_terminal();
    diagnosis = diagnosis.progress(move |line| {
        let mut stderr = std::io::stderr();
        let first = line.lines().next().unwrap_or_default();
        // A line that is overwritten, on a terminal only; elsewhere what is about to happen is said, and nothing else.
        let _ = match (is_live, line.starts_with("one token request")) {
            (true, _) => write!(stderr, "\r\x1b[K{}", first.chars().take(72).collect::<String>()),
            (false, true) => writeln!(stderr, "{line}"),
            (false, false) => Ok(()),
        };
        let _ = stderr.flush();
    });
    let diagnosis = diagnosis.await;
    if is_live {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    output::diagnosis(&diagnosis, json)?;
    match exit::of_cause(diagnosis.cause) {
        0 => Ok(()),
        code => Err(Failure::told(code)),
    }
}
