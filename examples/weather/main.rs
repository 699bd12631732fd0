//! The weather in some cities, from an API that requires access tokens: `cargo run --example weather [CITY ...]`.
//!
//! It starts an authorization server and a weather API in this process and talks to them over HTTP. The tokens last 3
//! seconds; the API revokes one before it expires; and the authorization server is down for a while. No weather request
//! fails: tokens are refreshed early, the current one is used while a refresh fails, and a request whose token is refused
//! is repeated with another. The column `token` shows where the current token came from: `fetched` (the request waited for
//! it), `cached`, `refreshed early` (a new one that no request waited for), or `after 401` (the API refused the last one).
//!
//! The last line counts the requests that the servers received, including refused ones. A request has `failed` if it
//! returned no answer about its city; that a city does not exist is an answer. The exit code is 1 if one failed.
//!
//! With `--features serde`, and `WEATHER_URL`, `WEATHER_TOKEN_ENDPOINT` (or `WEATHER_ISSUER`), `WEATHER_AUTH_CLIENT_ID` and
//! `WEATHER_AUTH_SECRET` (or `WEATHER_AUTH_SECRET_FILE`) in the environment, it requests `WEATHER_URL/CITY` from real
//! servers instead. Scopes, audience and everything else are variables, too (`WEATHER_SCOPES`, `WEATHER_AUDIENCE`): see
//! `Config::from_env`.

mod demonstration;
mod real_servers;
mod table;
mod weather_client;

use std::collections::VecDeque;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use demonstration::{Demonstration, LIFETIME};
use table::Table;
use weather_client::{Answer, WeatherClient};

const CITIES: [&str; 6] = ["Amsterdam", "Cairo", "Lima", "Nairobi", "Oslo", "Tokyo"];

/// Enough time for a revocation, an outage, and a refresh after it.
const DURATION: Duration = Duration::from_secs(5);
/// At least so many, however few cities there are.
const REQUESTS: usize = 24;

#[tokio::main]
async fn main() -> ExitCode {
    let error = match run().await {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(_) => return ExitCode::FAILURE,
        Err(error) => error,
    };
    // If this cannot be written, there is still the exit code.
    let _ = writeln!(std::io::stderr(), "error: {}", text(&*error));
    ExitCode::FAILURE
}

/// An error of this crate with its causes; `{:#}` prints them in one line.
fn text(error: &(dyn Error + 'static)) -> String {
    client_credentials::Error::find(error).map_or(error.to_string(), |ours| format!("{ours:#}"))
}

/// Returns how many requests failed.
async fn run() -> Result<usize, Box<dyn Error>> {
    let cities = cities();
    let mut out = std::io::stdout();
    if let Some(client) = real_servers::from_env()? {
        writeln!(out, "Weather from the servers named by the environment.\n")?;
        let tally = tour(cities, client, None).await?;
        writeln!(out, "\nreadings: {}, failed: {}", tally.readings, tally.failed)?;
        if tally.readings == 0 {
            return Err("not one reading: are WEATHER_URL and the cities right?".into());
        }
        return Ok(tally.failed);
    }
    let (mut servers, client) = Demonstration::start(cities.iter())?;
    writeln!(out, "Sample data, from servers inside this process.")?;
    writeln!(out, "Each token lasts {} s. One will be revoked, and one outage is planned.\n", LIFETIME.as_secs())?;
    let tally = tour(cities, client, Some(&mut servers)).await?;
    writeln!(out, "\n{}", servers.summary(tally.failed))?;
    Ok(tally.failed)
}

#[derive(Default)]
struct Tally {
    readings: usize,
    failed: usize,
}

/// Requests the weather of one city after the other, in several rounds.
async fn tour(
    mut cities: VecDeque<String>,
    mut client: WeatherClient,
    mut servers: Option<&mut Demonstration>,
) -> Result<Tally, Box<dyn Error>> {
    let mut table = Table::new(cities.iter());
    let requests = REQUESTS.next_multiple_of(cities.len());
    let pause = DURATION.div_f64(requests as f64);
    let mut tally = Tally::default();
    for number in 1..=requests {
        let Some(city) = cities.pop_front() else {
            break;
        };
        if let Some(servers) = &mut servers {
            servers.before(number);
        }
        let asked = client.ask(&city).await;
        for line in servers.as_mut().map(|servers| servers.news()).unwrap_or_default() {
            table.news(&line)?;
        }
        match asked {
            Ok(answer) => {
                table.answer(&city, &answer, client.token_origin())?;
                match answer {
                    Answer::Reading { .. } => tally.readings += 1,
                    // Once is enough.
                    Answer::UnknownCity(_) => continue,
                }
            }
            Err(error) => {
                // Without a first token there is nothing to show.
                if client_credentials::Error::find(&*error).is_some() && tally.readings == 0 {
                    return Err(error);
                }
                table.failure(&city, &text(&*error))?;
                tally.failed += 1;
            }
        }
        cities.push_back(city);
        tokio::time::sleep(pause).await;
    }
    Ok(tally)
}

fn cities() -> VecDeque<String> {
    let given = std::env::args_os().skip(1);
    let named = given.map(|city| city.to_string_lossy().trim().to_owned());
    let cities: VecDeque<_> = named.filter(|city| !city.is_empty()).collect();
    match cities.is_empty() {
        true => CITIES.map(str::to_owned).into(),
        false => cities,
    }
}
