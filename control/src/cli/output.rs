//! Where a command's answer goes: a table for people or JSON for programs, once or again and again.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde::Serialize;
use tonic::Streaming;

use super::failure::Failure;

/// What every command that shows something takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Output {
    /// Print JSON with the field names of the API
    #[arg(long)]
    pub json: bool,
    /// Show again every SECONDS (2 if not given) until interrupted
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          require_equals = true, value_parser = seconds)]
    pub watch: Option<Duration>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    if (0.1..=86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("between 0.1 and 86400 seconds".into())
    }
}

impl Output {
    /// Runs `show` once, or again and again where `--watch` is given.
    pub async fn repeat(
        &self,
        mut show: impl AsyncFnMut() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(every) = self.watch else {
            return show().await;
        };
        loop {
            if io::stdout().is_terminal() {
                // Home, and clear what is below: the picture does not flicker.
                print!("\x1b[H\x1b[J");
            }
            show().await?;
            io::stdout().flush()?;
            tokio::time::sleep(every).await;
        }
    }
}

/// Prints one message as JSON.
pub fn json(out: &mut impl Write, message: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, message).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Prints a list as a JSON array, an element a line.
pub fn json_list<T: Serialize>(out: &mut impl Write, items: &[T]) -> Result<(), Failure> {
    let mut array = JsonArray::new(out);
    for item in items {
        array.push(item)?;
    }
    array.finish()
}

/// Prints a stream as a JSON array, an element a line, as the elements come.
pub async fn json_stream<T: Serialize>(
    out: &mut impl Write,
    stream: &mut Streaming<T>,
) -> Result<(), Failure> {
    let mut array = JsonArray::new(out);
    while let Some(item) = stream.message().await? {
        array.push(&item)?;
    }
    array.finish()
}

struct JsonArray<'w, W: Write> {
    out: &'w mut W,
    any: bool,
}

impl<'w, W: Write> JsonArray<'w, W> {
    fn new(out: &'w mut W) -> Self {
        Self { out, any: false }
    }

    fn push(&mut self, item: &impl Serialize) -> Result<(), Failure> {
        self.out.write_all(if self.any { b",\n " } else { b"[" })?;
        self.any = true;
        serde_json::to_writer(&mut *self.out, item).map_err(io::Error::from)?;
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        self.out
            .write_all(if self.any { b"]\n" } else { b"[]\n" })?;
        self.out.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{json_list, seconds};

    #[test]
    fn lists_are_json_arrays_with_an_element_a_line() {
        let text = |items: &[u32]| {
            let mut out = Vec::new();
            json_list(&mut out, items).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(&[1, 2]), "[1,\n 2]\n");
        assert_eq!(text(&[]), "[]\n");
    }

    #[test]
    fn watching_takes_sensible_times() {
        assert_eq!(seconds("0.5").unwrap().as_millis(), 500);
        for bad in ["0", "-1", "NaN", "inf", "x"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
