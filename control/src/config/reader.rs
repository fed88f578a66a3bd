//! Takes values out of a parsed TOML document by the schema, and collects what is wrong.
//!
//! A faulty value is reported and its default used on, so that one reading finds all faults.
//! A value that is absent is read from the schema's default by the same code as one that is
//! there.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::schema::{Default, Key, Kind, Section};

/// The text being read and the faults found in it so far.
pub(super) struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    faults: RefCell<Vec<(usize, ConfigError)>>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(file: &'t str, text: &'t str) -> Self {
        Self {
            file,
            text,
            faults: RefCell::default(),
        }
    }

    /// Records that what stands at `span` is wrong.
    pub(super) fn fault(&self, span: &Range<usize>, message: impl Into<String>) {
        let error = ConfigError::at(self.file, self.text, span, message);
        self.faults.borrow_mut().push((span.start, error));
    }

    /// The faults, in the order of the file.
    pub(super) fn finish(self) -> Vec<ConfigError> {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|(offset, _)| *offset);
        faults.into_iter().map(|(_, error)| error).collect()
    }

    /// Line number (from one) of a span, for messages that point at a second place.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        super::error::position(self.text, span.start).0
    }
}

/// One table of the file (or an absent one), read by the section of the schema that it follows.
pub(super) struct Table<'a> {
    pub(super) reader: &'a Reader<'a>,
    section: &'static Section,
    title: String,
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
}

impl<'a> Table<'a> {
    /// Looks at `value` as the table `title`; keys that the section does not have are faults.
    /// Keys in `subtables` are left to their own sections.
    pub(super) fn new(
        reader: &'a Reader<'a>,
        section: &'static Section,
        title: String,
        value: Option<&'a Spanned<DeValue<'a>>>,
        subtables: &[&str],
    ) -> Self {
        let span = value.map_or(0..0, Spanned::span);
        let table = value.and_then(|v| {
            let table = v.get_ref().as_table();
            if table.is_none() {
                let found = v.get_ref().type_str();
                reader.fault(&span, format!("{title} is a table, not {}", article(found)));
            }
            table
        });
        let names = || {
            section
                .keys
                .iter()
                .map(|k| k.name)
                .chain(subtables.iter().copied())
        };
        for (key, _) in table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if !names().any(|n| n == name) {
                let hint = nearest(name, names());
                reader.fault(
                    &key.span(),
                    format!("unknown key \"{name}\" in {title}{hint}"),
                );
            }
        }
        Self {
            reader,
            section,
            title,
            table,
            span,
        }
    }

    /// Where the table begins; an absent one is at the start of the file.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Records a fault at the value of `key`, or at the table where the key is absent.
    pub(super) fn fault(&self, key: &str, message: impl Display) {
        let span = self.find(key).map_or_else(|| self.span(), |v| v.span());
        self.reader
            .fault(&span, format!("{} {key}: {message}", self.title));
    }

    /// True if the file has the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Where the value of `key` is; the table where it is absent.
    pub(super) fn span_of(&self, key: &str) -> Range<usize> {
        self.find(key).map_or_else(|| self.span(), |v| v.span())
    }

    /// A yes or no.
    pub(super) fn boolean(&self, key: &str) -> bool {
        self.read(key, |v| v.as_bool().ok_or_else(String::new))
            .unwrap_or_default()
    }

    /// An integer; its bounds are the schema's and must fit `T`.
    pub(super) fn integer<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        let Kind::Integer(min, max) = self.key(key).kind else {
            unreachable!("{key} is not an integer in the schema")
        };
        self.read(key, |v| {
            let number = v.as_integer().ok_or_else(String::new)?;
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
            number
                .filter(|n| (min..=max).contains(n))
                .and_then(|n| T::try_from(n).ok())
                .ok_or_else(String::new)
        })
    }

    /// A string that `T` understands.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, key: &str) -> Option<T> {
        let kind = self.key(key).kind;
        self.read(key, |v| {
            let text = v.as_str().ok_or_else(String::new)?;
            if let Kind::Choice(words) = kind
                && !words.contains(&text)
            {
                return Err(format!(
                    "expected {}, found \"{text}\"{}",
                    kind.describe(),
                    nearest(text, words.iter().copied())
                ));
            }
            text.parse::<T>().map_err(|e| e.to_string())
        })
    }

    /// An absolute path.
    pub(super) fn path(&self, key: &str) -> PathBuf {
        let path: PathBuf = self.parsed::<String>(key).unwrap_or_default().into();
        if !path.is_absolute() {
            self.fault(
                key,
                format!("\"{}\" is not an absolute path", path.display()),
            );
        }
        path
    }

    /// The path of a Unix socket.
    pub(super) fn socket(&self, key: &str) -> PathBuf {
        let path = self.path(key);
        // sockaddr_un has 108 bytes, the last of which ends the string.
        if path.as_os_str().len() > 107 {
            self.fault(
                key,
                "longer than the 107 bytes that a Unix socket's path can have",
            );
        }
        path
    }

    /// A list of strings that `T` understands; empty where the key is absent.
    pub(super) fn list<T: FromStr<Err: Display>>(&self, key: &str) -> Vec<Spanned<T>> {
        let Some(value) = self.find(key) else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_kind(key, value.get_ref());
            return Vec::new();
        };
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let parsed = match item.get_ref().as_str() {
                Some(text) => text.parse::<T>().map_err(|e| e.to_string()),
                None => Err(format!(
                    "expected a string, found {}",
                    describe(item.get_ref())
                )),
            };
            match parsed {
                Ok(parsed) => list.push(Spanned::new(item.span(), parsed)),
                Err(e) => {
                    self.reader
                        .fault(&item.span(), format!("{} {key}: {e}", self.title));
                }
            }
        }
        list
    }

    /// The raw value, from the file or from the default, given to `take`. An empty error text
    /// stands for "not of this kind".
    pub(super) fn read<T>(
        &self,
        key: &str,
        take: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let schema = self.key(key);
        if let Some(value) = self.find(key) {
            match take(value.get_ref()) {
                Ok(taken) => return Some(taken),
                Err(e) if e.is_empty() => self.wrong_kind(key, value.get_ref()),
                Err(e) => self.fault(key, e),
            }
        } else if schema.default == Default::Required {
            let title = &self.title;
            self.reader
                .fault(&self.span(), format!("{title} needs the key \"{key}\""));
        }
        let Default::Value(text) = schema.default else {
            return None;
        };
        let default = DeValue::parse(text).ok()?;
        take(default.get_ref()).ok()
    }

    fn wrong_kind(&self, key: &str, found: &DeValue<'_>) {
        let wanted = self.key(key).kind.describe();
        self.fault(key, format!("expected {wanted}, found {}", describe(found)));
    }

    fn find(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        get(self.table?, key)
    }

    /// The schema's entry. A reader that asks for a key that is not documented is a fault in
    /// this program, which its first test run shows.
    fn key(&self, name: &str) -> &'static Key {
        let section = self.section.name;
        self.section
            .key(name)
            .unwrap_or_else(|| unreachable!("[{section}] {name} has no schema"))
    }
}

/// The value of `key` in `table`.
pub(super) fn get<'a>(table: &'a DeTable<'a>, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
    table
        .iter()
        .find(|(k, _)| k.get_ref().as_ref() == key)
        .map(|(_, v)| v)
}

/// `; did you mean "NAME"?` for the name nearest to `wrong`, or nothing if none is near.
pub(super) fn nearest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> String {
    names
        .map(|name| (strsim::jaro_winkler(&wrong.to_lowercase(), name), name))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, name)| {
            format!("; did you mean \"{name}\"?")
        })
}

/// A value as a person would name it: `the string "x"`, `the integer 7`, `a table`.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(s) => format!("the string \"{s}\""),
        DeValue::Integer(i) => format!("the integer {}", i.as_str()),
        DeValue::Float(f) => format!("the number {}", f.as_str()),
        DeValue::Boolean(b) => format!("the boolean {b}"),
        other => article(other.type_str()),
    }
}

fn article(noun: &str) -> String {
    let an = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {noun}", if an { "an" } else { "a" })
}
