//! The table on the terminal.

use std::io::{self, Write};
use std::time::Instant;

use crate::weather_client::Answer;

pub(crate) struct Table {
    out: io::Stdout,
    start: Instant,
    city_width: usize,
    /// Only above a first line: an error at once needs none.
    heading_is_due: bool,
}

impl Table {
    pub(crate) fn new<'a>(cities: impl Iterator<Item = &'a String>) -> Self {
        let longest = cities.map(|city| city.chars().count()).max();
        Table {
            out: io::stdout(),
            start: Instant::now(),
            city_width: longest.unwrap_or_default().clamp(4, 30),
            heading_is_due: true,
        }
    }

    pub(crate) fn answer(&mut self, city: &str, answer: &Answer, origin: &str) -> io::Result<()> {
        match answer {
            Answer::Reading { temperature, conditions } => self.row([city, temperature, conditions, origin]),
            Answer::UnknownCity(message) => self.line(&format!("{city}: {message}")),
        }
    }

    pub(crate) fn failure(&mut self, city: &str, text: &str) -> io::Result<()> {
        self.line(&format!("{city}: FAILED: {text}"))
    }

    pub(crate) fn news(&mut self, text: &str) -> io::Result<()> {
        self.line(&format!("-- {text} --"))
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        self.heading()?;
        writeln!(self.out, "{:>6}  {text}", self.time())
    }

    fn row(&mut self, columns: [&str; 4]) -> io::Result<()> {
        self.heading()?;
        let time = self.time();
        self.write_row(&time, columns)
    }

    fn heading(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.heading_is_due, false) {
            true => self.write_row("time", ["city", "temperature", "conditions", "token"]),
            false => Ok(()),
        }
    }

    fn write_row(&mut self, time: &str, columns: [&str; 4]) -> io::Result<()> {
        let [city, temperature, conditions, token] = columns;
        let width = self.city_width;
        writeln!(self.out, "{time:>6}  {city:<width$}  {temperature:>11}  {conditions:<14}  {token}")
    }

    fn time(&self) -> String {
        format!("{:.1} s", self.start.elapsed().as_secs_f64())
    }
}
