//! `splitscope generate`: shell completions and manual pages, made from the words of the command line.

use super::arguments::{Arguments, GenerateArguments, Generated};
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

/// What was asked for, as text.
pub(super) fn run(arguments: &GenerateArguments) -> anyhow::Result<String> {
    let mut command = Arguments::command();
    let shell = match arguments.what {
        Generated::Man => return manual(command),
        Generated::Bash => Shell::Bash,
        Generated::Elvish => Shell::Elvish,
        Generated::Fish => Shell::Fish,
        Generated::Powershell => Shell::PowerShell,
        Generated::Zsh => Shell::Zsh,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "splitscope", &mut text);
    Ok(String::from_utf8(text)?)
}

/// The page of the program, then one a subcommand.
fn manual(mut command: clap::Command) -> anyhow::Result<String> {
    // Gives the subcommands their full names, `splitscope-inspect`, as in `--help`.
    command.build();
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text)?;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        if subcommand.get_name() != "help" {
            Man::new(subcommand.clone()).render(&mut text)?;
        }
    }
    Ok(String::from_utf8(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_form_knows_every_subcommand_and_the_flags_of_a_recipe() {
        for what in Generated::value_variants() {
            let text = run(&GenerateArguments { what: *what }).unwrap();
            for subcommand in Arguments::command().get_subcommands() {
                assert!(
                    text.contains(subcommand.get_name()),
                    "{what:?}: no {}",
                    subcommand.get_name()
                );
            }
            // roff escapes the hyphen.
            let flags = text.replace("\\-", "-");
            assert!(flags.contains("expand-ratio"), "{what:?}: no --expand-ratio");
        }
    }
}
