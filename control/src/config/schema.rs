//! The one list of sections and keys: name, kind, default, help.
//!
//! Reading ([`super::reader`]), `config example`, and `docs/configuration.md` all come from this
//! list, so a key cannot exist without its documentation, nor a default be written twice.

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// `true` or `false`.
    Bool,
    /// An integer within these bounds, both included.
    Integer(i64, i64),
    /// A list of strings.
    TextList,
    /// CPUs: `1`, `"1-3,5"`, or a list of either.
    Cpus,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// The kind in words, as an error message needs it: "an integer from 1 to 64".
    pub fn describe(self) -> String {
        match self {
            Kind::Text => "a string".into(),
            Kind::Bool => "true or false".into(),
            Kind::Integer(min, max) if max == i64::MAX => format!("an integer of at least {min}"),
            Kind::Integer(min, max) => format!("an integer from {min} to {max}"),
            Kind::TextList => "a list of strings".into(),
            Kind::Cpus => "CPU numbers, as 1, \"1-3\" or [1, 2, 3]".into(),
            Kind::Choice(words) => {
                let quoted: Vec<_> = words.iter().map(|w| format!("\"{w}\"")).collect();
                match quoted.split_last() {
                    Some((last, rest)) if !rest.is_empty() => {
                        format!("{} or {last}", rest.join(", "))
                    }
                    _ => quoted.concat(),
                }
            }
        }
    }
}

/// What happens when a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// This TOML value is used.
    Value(&'static str),
    /// Nothing: it stands instead of the key of this name, and never beside it.
    Instead(&'static str),
    /// What is used then is worked out, as these words say.
    Derived(&'static str),
    /// The key must be there.
    Required,
}

/// One key of a section.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// What its value must look like.
    pub kind: Kind,
    /// What stands for it when it is absent.
    pub default: Default,
    /// A TOML value for the example; the default's where this is empty.
    pub example: &'static str,
    /// What it does, in one or more sentences.
    pub help: &'static str,
}

/// How a section is written in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `[name]`, at most once.
    Single,
    /// `[[name]]`, once for each thing.
    Repeated,
    /// The same, of things that most routers have none of.
    Optional,
    /// `[name.KEY]`, once for each key of a known set.
    Keyed {
        /// What stands for the key in documentation.
        key: &'static str,
        /// One that the example may show.
        example: &'static str,
    },
}

/// One section of the file.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its name, without brackets.
    pub name: &'static str,
    /// Once, repeated, or keyed.
    pub shape: Shape,
    /// What it is about.
    pub help: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Section {
    /// The section as a person writes it: `[dpdk]`, `[[port]]`, `[punt.REASON]`.
    pub fn title(&self) -> String {
        match self.shape {
            Shape::Single => format!("[{}]", self.name),
            Shape::Repeated | Shape::Optional => format!("[[{}]]", self.name),
            Shape::Keyed { key, .. } => format!("[{}.{key}]", self.name),
        }
    }

    /// The key called `name`.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.name == name)
    }
}

/// All sections, in the order in which documentation and example show them.
pub const SECTIONS: &[&Section] = &[
    &super::daemon::SECTION,
    &super::dpdk::SECTION,
    &super::dpdk::MEMPOOL_SECTION,
    &super::lcores::SECTION,
    &super::idle::SECTION,
    &super::idle::OWN_SECTION,
    &super::port::SECTION,
    &super::punt::SECTION,
    &super::mirror::SECTION,
    &super::mirror::NEIGHBOUR_SECTION,
    &super::ipsec::SECTION,
    &super::ipsec_interface::SECTION,
];
