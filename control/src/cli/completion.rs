//! `completion`: scripts for shells.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use super::failure::Failure;

/// Arguments of `completion`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ironlane completion bash > /etc/bash_completion.d/ironlane\n  \
    ironlane completion zsh > /usr/share/zsh/vendor-completions/_ironlane\n  \
    ironlane completion fish > ~/.config/fish/completions/ironlane.fish")]
pub struct Args {
    /// Shell that is to complete
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

/// Prints the script.
pub fn run(args: Args) -> Result<(), Failure> {
    super::stdout().write_all(&script(&args.shell)?)?;
    Ok(())
}

fn script(shell: &str) -> Result<Vec<u8>, Failure> {
    let shell: Shell = shell.parse().map_err(Failure::Other)?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ironlane", &mut script);
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::script;

    #[test]
    fn each_shell_gets_a_script_that_knows_objects_and_verbs() {
        for shell in ["bash", "zsh", "fish"] {
            let text = String::from_utf8(script(shell).unwrap()).unwrap();
            for word in ["adjacency", "show", "kernel-style", "completion"] {
                assert!(text.contains(word), "{shell} does not know {word}");
            }
        }
    }
}
