//! Messages: a tree of sections, texts and lists of texts.

/// How deep sections may stand in each other; charon uses five levels.
const MAX_DEPTH: usize = 32;

const SECTION_START: u8 = 1;
const SECTION_END: u8 = 2;
const KEY_VALUE: u8 = 3;
const LIST_START: u8 = 4;
const LIST_ITEM: u8 = 5;
const LIST_END: u8 = 6;

/// Bytes that are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {what}")]
pub struct Malformed {
    /// Where.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Words or numbers, all as text.
    Text(String),
    /// Several of them.
    List(Vec<String>),
    /// A section of its own.
    Section(Section),
}

/// Names with values, in the order of the message. The message itself is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section(Vec<(String, Value)>);

impl From<Vec<(String, Value)>> for Section {
    fn from(members: Vec<(String, Value)>) -> Self {
        Self(members)
    }
}

impl Section {
    /// With `value` for `name` behind what there is.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.0.push((name.to_owned(), value));
        self
    }

    /// With a text behind what there is; a `None` adds nothing.
    #[must_use]
    pub fn with_text(self, name: &str, text: Option<impl ToString>) -> Self {
        match text {
            Some(text) => self.with(name, Value::Text(text.to_string())),
            None => self,
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value)
    }

    /// The text of `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The text of `name`, or nothing.
    pub fn owned(&self, name: &str) -> String {
        self.text(name).unwrap_or_default().to_owned()
    }

    /// The text of `name` as a number; `None` if it is none.
    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.text(name)?.parse().ok()
    }

    /// Whether `name` is yes.
    pub fn is(&self, name: &str) -> bool {
        self.text(name) == Some("yes")
    }

    /// The list of `name`; empty if there is none.
    pub fn list(&self, name: &str) -> &[String] {
        match self.get(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    /// The section of `name`.
    pub fn section(&self, name: &str) -> Option<&Section> {
        match self.get(name) {
            Some(Value::Section(section)) => Some(section),
            _ => None,
        }
    }

    /// All sections in this one, with their names.
    pub fn sections(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.0.iter().filter_map(|(name, value)| match value {
            Value::Section(section) => Some((name.as_str(), section)),
            _ => None,
        })
    }

    /// All texts in this one, with their names.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| match value {
            Value::Text(text) => Some((name.as_str(), text.as_str())),
            _ => None,
        })
    }

    /// Appends the message's bytes.
    ///
    /// # Errors
    /// If a name has more than 255 bytes or a text more than 65535; the text says so.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        for (name, value) in &self.0 {
            match value {
                Value::Text(text) => {
                    out.push(KEY_VALUE);
                    put_name(out, name)?;
                    put_text(out, text)?;
                }
                Value::List(list) => {
                    out.push(LIST_START);
                    put_name(out, name)?;
                    for text in list {
                        out.push(LIST_ITEM);
                        put_text(out, text)?;
                    }
                    out.push(LIST_END);
                }
                Value::Section(section) => {
                    out.push(SECTION_START);
                    put_name(out, name)?;
                    section.encode(out)?;
                    out.push(SECTION_END);
                }
            }
        }
        Ok(())
    }

    /// Reads a message. What is not UTF-8, and control characters, are replaced: identities come from
    /// the peer, and end on a terminal.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader { bytes, at: 0 };
        reader.section(0)
    }
}

pub(super) fn put_name(out: &mut Vec<u8>, name: &str) -> Result<(), String> {
    let len = u8::try_from(name.len());
    out.push(len.map_err(|_| format!("a name of {} bytes is too long: 255 at most", name.len()))?);
    out.extend(name.as_bytes());
    Ok(())
}

fn put_text(out: &mut Vec<u8>, text: &str) -> Result<(), String> {
    let len = u16::try_from(text.len());
    let len =
        len.map_err(|_| format!("a text of {} bytes is too long: 65535 at most", text.len()))?;
    out.extend(len.to_be_bytes());
    out.extend(text.as_bytes());
    Ok(())
}

/// Text as it may be shown.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn fault<T>(&self, what: &'static str) -> Result<T, Malformed> {
        Err(Malformed { at: self.at, what })
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let Some(&byte) = self.bytes.get(self.at) else {
            return self.fault("the message ends inside of an element");
        };
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, len: usize) -> Result<String, Malformed> {
        let Some(bytes) = self.bytes.get(self.at..self.at + len) else {
            return self.fault("the message ends inside of an element");
        };
        self.at += len;
        Ok(printable(bytes))
    }

    fn name(&mut self) -> Result<String, Malformed> {
        let len = self.byte()?;
        self.take(len.into())
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let len = u16::from_be_bytes([self.byte()?, self.byte()?]);
        self.take(len.into())
    }

    /// What stands in a section, its end included; the message for depth 0.
    fn section(&mut self, depth: usize) -> Result<Section, Malformed> {
        if depth > MAX_DEPTH {
            return self.fault("sections stand too deep in each other");
        }
        let mut section = Section::default();
        while depth > 0 || self.at < self.bytes.len() {
            let (name, value) = match self.byte()? {
                KEY_VALUE => (self.name()?, Value::Text(self.text()?)),
                LIST_START => (self.name()?, Value::List(self.list()?)),
                SECTION_START => (self.name()?, Value::Section(self.section(depth + 1)?)),
                SECTION_END if depth > 0 => return Ok(section),
                _ => return self.fault("no element of a section begins so"),
            };
            section.0.push((name, value));
        }
        Ok(section)
    }

    fn list(&mut self) -> Result<Vec<String>, Malformed> {
        let mut list = Vec::new();
        loop {
            match self.byte()? {
                LIST_ITEM => list.push(self.text()?),
                LIST_END => return Ok(list),
                _ => return self.fault("no element of a list begins so"),
            }
        }
    }
}
