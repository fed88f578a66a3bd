//! The schema as text: the commented example and the page `docs/configuration.md`.

use super::schema::{Default, Key, SECTIONS, Section, Shape};

/// A configuration to begin with: one port on net_tap, every other key commented out with its
/// default or an example, and what it does.
pub fn example() -> String {
    let mut text = String::from(
        "# Configuration of ironlane: a port that needs no hardware, and every key there is.\n\
         # Lines that begin with \"#\" and a name are defaults or examples; take the \"#\" away to\n\
         # change them. Check with: ironlane config check FILE\n",
    );
    for section in SECTIONS {
        let header = match section.shape {
            Shape::Single => format!("[{}]", section.name),
            Shape::Repeated => format!("[[{}]]", section.name),
            Shape::Optional => format!("#[[{}]]", section.name),
            Shape::Keyed { example, .. } => format!("#[{}.{example}]", section.name),
        };
        text += &format!("\n{}{header}\n", comment(section.help));
        for key in section.keys {
            let default = match key.default {
                Default::Value(default) if !key.example.is_empty() => {
                    format!("# Default: {default}.\n")
                }
                Default::Value(_) => String::new(),
                Default::Derived(how) => format!("# Default: {how}.\n"),
                Default::Instead(other) => format!("# Instead of {other}.\n"),
                Default::Required => "# Required.\n".into(),
            };
            let is_set = key.default == Default::Required && section.shape != Shape::Optional;
            let mark = match key.default {
                _ if is_set => "",
                Default::Instead(_) => "# ",
                _ => "#",
            };
            let value = value(key);
            text += &format!(
                "{}{default}{mark}{} = {value}\n",
                comment(key.help),
                key.name
            );
        }
    }
    text
}

/// The text of `docs/configuration.md`.
pub fn page() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         `ironlane run --config FILE` reads one TOML file. A key that is not listed here, a value\n\
         out of its bounds, a name given twice: each is refused with file, line, column and the\n\
         nearest right name, all of them in one go, before anything is started.\n\n\
         ```console\n\
         $ ironlane config example > router.toml     # every key, commented\n\
         $ ironlane config check router.toml         # what is wrong with it\n\
         $ ironlane config show router.toml          # with every default written out\n\
         $ ironlane doctor --config router.toml      # does this machine have what it asks for\n\
         ```\n\n\
         The smallest useful file:\n\n\
         ```toml\n\
         [[port]]\n\
         name = \"p0\"\n\
         device = \"0000:3b:02.0\"\n\n\
         [[port]]\n\
         name = \"p1\"\n\
         device = \"0000:3b:02.1\"\n\
         ```\n\n\
         Files to begin with, one folder a use, are in [configs/](../configs/README.md). This page\n\
         is the program's own list of keys; a test compares the two.\n",
    );
    for section in SECTIONS {
        text += &section_page(section);
    }
    text
}

fn section_page(section: &Section) -> String {
    let mut text = format!("\n## `{}`\n\n{}\n\n", section.title(), section.help);
    text += "| key | value | default | what it does |\n| --- | --- | --- | --- |\n";
    for key in section.keys {
        let default = match key.default {
            Default::Value(value) => format!("`{value}`"),
            Default::Derived(how) => how.to_owned(),
            Default::Instead(other) => format!("instead of `{other}`"),
            Default::Required => "required".to_owned(),
        };
        let (name, kind) = (key.name, key.kind.describe());
        text += &format!("| `{name}` | {kind} | {default} | {} |\n", key.help);
    }
    text
}

fn value(key: &Key) -> &'static str {
    match key.default {
        Default::Value(default) if key.example.is_empty() => default,
        _ => key.example,
    }
}

/// `text` as comment lines of at most 96 characters.
fn comment(text: &str) -> String {
    let mut lines = String::from("#");
    let mut length = 1;
    for word in text.split_whitespace() {
        if length + 1 + word.len() > 96 {
            lines.push_str("\n#");
            length = 1;
        }
        lines.push(' ');
        lines.push_str(word);
        length += 1 + word.len();
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::{example, page};

    #[test]
    fn the_example_is_a_good_configuration() {
        let config = Config::parse("example", &example()).unwrap();
        assert_eq!(config.ports.len(), 1);
        let alone = "[[port]]\nname = \"p0\"\ndevice = \"net_tap0,iface=host0\"\n";
        assert_eq!(
            config,
            Config::parse("alone", alone).unwrap(),
            "comments are the defaults"
        );
    }

    #[test]
    fn every_commented_line_of_the_example_may_be_used() {
        let uncommented: String = example()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
                    rest
                }
                _ => line,
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let config = Config::parse("example", &uncommented).unwrap_or_else(|e| panic!("{e}"));
        assert!(config.ports[0].peer.is_some() && config.punt.policers.len() == 1);
    }

    #[test]
    fn the_page_is_the_programs_own_list() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        if std::env::var_os("IRONLANE_BLESS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let on_disk = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            on_disk == page(),
            "docs/configuration.md is stale; write it anew with: \
             IRONLANE_BLESS=1 cargo test -p ironlane-control the_page_is"
        );
    }
}
