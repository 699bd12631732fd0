//! The command line.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

pub(crate) const DEFAULT_PREFIX: &str = "CLIENT_CREDENTIALS_";

/// OAuth 2.0 client credentials: obtains tokens, and diagnoses failures.
///
/// The configuration is read from --config FILE (TOML, or JSON by its name), then from variables with the prefix
/// CLIENT_CREDENTIALS_ (CLIENT_CREDENTIALS_AUTH_CLIENT_ID), then from flags; later ones take precedence. A secret is never an
/// argument: it is in a file or variable, or prompted for on the terminal.
#[derive(Debug, Parser)]
#[command(version, name = "client-credentials", after_help = AFTER, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Configuration file
    #[arg(long, global = true, env = "CLIENT_CREDENTIALS_CONFIG", value_name = "FILE", value_parser = path())]
    pub(crate) config: Option<PathBuf>,
    /// Prefix of the names of variables
    #[arg(long, global = true, default_value = DEFAULT_PREFIX, value_name = "PREFIX")]
    pub(crate) env_prefix: String,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Prompt for the secret on the terminal even if a file or variable contains it
    #[arg(long, global = true)]
    pub(crate) ask: bool,
    /// Keep the token in this directory between calls, encrypted; the directory is created, and readable only by this user
    #[arg(long, global = true, env = "CLIENT_CREDENTIALS_KEEP", value_name = "DIR", value_parser = path())]
    pub(crate) keep: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) members: Members,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct Members {
    /// URL of the token endpoint
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) token_endpoint: Option<String>,
    /// Issuer URL of the authorization server
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) issuer: Option<String>,
    /// auth.method [default: client_secret_basic]
    #[arg(long, global = true, value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// auth.client_id
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// auth.secret_file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) secret_file: Option<String>,
    /// auth.secret_env: name of the variable with the secret
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) secret_env: Option<String>,
    /// auth.key_file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<String>,
    /// auth.certificate_file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) certificate_file: Option<String>,
    /// auth.assertion_file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) assertion_file: Option<String>,
    /// A scope, or several separated by spaces
    #[arg(long, global = true, value_name = "SCOPE")]
    pub(crate) scope: Vec<String>,
    /// audience
    #[arg(long, global = true, value_name = "AUDIENCE")]
    pub(crate) audience: Option<String>,
    /// A resource parameter (RFC 8707); may be given several times
    #[arg(long, global = true, value_name = "URI")]
    pub(crate) resource: Vec<String>,
    /// http.ca_file: further root certificates
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_file: Option<String>,
    /// Any other member by its path: cache.max_age=8h
    #[arg(long, global = true, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print an access token
    Token,
    /// Print the header: curl -H "$(client-credentials header)" URL
    Header,
    /// Send a request with the token, and print the API's response
    Request(Asked),
    /// Show the token request without sending it
    Explain,
    /// Find out why there is no token, or why the API refuses it; sends at most one token request
    Diagnose {
        /// Send one GET request with the token to this URL, too
        #[arg(long, value_name = "URL")]
        api: Option<String>,
        /// Send no token request
        #[arg(long)]
        no_token_request: bool,
    },
    /// Show which members are set, without their values
    Config,
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Asked {
    /// https, or http on this machine
    pub(crate) url: String,
    /// HTTP method [default: GET, with --data POST]
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub(crate) http_method: Option<String>,
    /// A header, "name: value"; may be given several times
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
    /// The body; @FILE is a file, @- standard input
    #[arg(short = 'd', long, value_name = "DATA")]
    pub(crate) data: Option<String>,
}

/// May be empty: clap's own error would name the flag where a variable is meant.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

const AFTER: &str = "\
Exit codes:
  0  it works
  1  something else, such as a broken pipe
  2  the command line or the configuration
  3  the credential: it cannot be read, has a line break, has expired
  4  the authorization server refuses the client or what it asks for
  5  too many requests
  6  the authorization server cannot be reached: name, connection, proxy, TLS, time
  7  the authorization server answers, but not with a token
  8  the API cannot be reached, or refuses the token or the request";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// clap identifies an argument by the name of its field: two with one name are one to it.
    #[test]
    fn no_flag_of_a_subcommand_has_the_name_of_a_global_one() {
        // FE19
        let command = Arguments::command();
        for subcommand in command.get_subcommands() {
            for flag in subcommand.get_arguments() {
                let is_global = command.get_arguments().any(|global| global.get_id() == flag.get_id());
                assert!(!is_global, "{} {}", subcommand.get_name(), flag.get_id());
            }
        }
    }
}
