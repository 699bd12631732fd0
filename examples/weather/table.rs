//! The table on the terminal.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::weather_client::{Answer, Origin};

pub(crate) struct Table {
    out: io::Stdout,
    start: Instant,
    city_width: usize,
}

impl Table {
    pub(crate) fn begin<'a>(cities: impl Iterator<Item = &'a String>) -> io::Result<Self> {
        let longest = cities.map(|city| city.chars().count()).max();
        let table = Table {
            out: io::stdout(),
            start: Instant::now(),
            city_width: longest.unwrap_or_default().clamp(4, 30),
        };
        table.row("time", "city", "temperature", "conditions", "token")?;
        Ok(table)
    }

    pub(crate) fn answer(&self, city: &str, answer: &Answer, origin: &Origin) -> io::Result<()> {
        match answer {
            Answer::Reading {
                temperature,
                conditions,
            } => self.row(
                &self.time(),
                city,
                temperature,
                conditions,
                &origin.to_string(),
            ),
            Answer::UnknownCity(message) => self.line(&format!("{city}: {message}")),
        }
    }

    pub(crate) fn failure(&self, city: &str, text: &str) -> io::Result<()> {
        self.line(&format!("{city}: FAILED: {text}"))
    }

    pub(crate) fn news(&self, text: &str) -> io::Result<()> {
        self.line(&format!("-- {text} --"))
    }

    fn line(&self, text: &str) -> io::Result<()> {
        writeln!(&self.out, "{:>6}  {text}", self.time())
    }

    fn row(
        &self,
        time: &str,
        city: &str,
        temperature: &str,
        conditions: &str,
        token: &str,
    ) -> io::Result<()> {
        let width = self.city_width;
        writeln!(
            &self.out,
            "{time:>6}  {city:<width$}  {temperature:>11}  {conditions:<14}  {token}"
        )
    }

    fn time(&self) -> String {
        let elapsed: Duration = self.start.elapsed();
        format!("{:.1} s", elapsed.as_secs_f64())
    }
}
