//! `cloakroom man`: the manual page.
//!
//! Comes in: the whole command line's definition. Goes out: one page in roff on standard output, with a section for every
//! command.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints the page of `command` and its subcommands.
///
/// # Errors
/// When standard output is closed.
pub fn run(_: &Args, command: Command) -> anyhow::Result<ExitCode> {
    io::stdout().write_all(&page(command)?)?;
    Ok(ExitCode::SUCCESS)
}

fn page(mut command: Command) -> io::Result<Vec<u8>> {
    command.build();
    let commands = command.clone();
    let man = Man::new(command).section("1").manual("Cloakroom");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    writeln!(page, ".SH COMMANDS")?;
    describe(&commands, &mut page)?;
    page.extend_from_slice(EXIT_AND_SIGNALS.as_bytes());
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// The subcommands, depth first; each with its full name, its options and its arguments.
fn describe(parent: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    for command in parent.get_subcommands().filter(|command| !command.is_hide_set()) {
        if command.get_name() == "help" {
            continue;
        }
        if command.has_subcommands() {
            describe(command, page)?;
            continue;
        }
        let name = command.get_bin_name().unwrap_or(command.get_name());
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(page, ".SS \"{}\"\n{}", roff(name), roff(&about))?;
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            if argument.get_id() == "help" || argument.get_id() == "version" {
                continue;
            }
            let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            if let (Some(default), true) =
                (argument.get_default_values().first(), argument.get_action().takes_values())
            {
                help.push_str(&format!(" [default: {}]", default.to_string_lossy()));
            }
            writeln!(page, ".TP\n\\fB{}\\fR\n{}", roff(&argument.to_string()), roff(&help))?;
        }
    }
    Ok(())
}

/// Text that roff takes for text: no line begins with a request, no backslash begins an escape.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq");
    escaped.lines().map(|line| format!("\\&{line}")).collect::<Vec<_>>().join("\n")
}

const EXIT_AND_SIGNALS: &str = "\
.SH \"EXIT STATUS\"
.TP
0
Done.
.TP
1
Failed while running, or a negative answer.
.TP
2
Wrong command line.
.TP
78
Bad configuration.
.SH SIGNALS
.TP
HUP
Read the configuration, certificates and users again. On any error the old state stays.
.TP
TERM, INT
Stop accepting, finish the requests under way, end. A second one ends at once.
.TP
USR1
Open the access log again.
";

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    #[test]
    fn every_command_and_option_is_in_the_manual() {
        let users = Command::new("users").subcommand(
            Command::new("add").about("Add a user").arg(Arg::new("group").long("group").help("A \\ 'group'")),
        );
        let root = Command::new("cloakroom")
            .version("1")
            .about("Adds sessions")
            .subcommand(users)
            .subcommand(Command::new("man"));
        let page = String::from_utf8(page(root).unwrap()).unwrap();
        assert!(page.contains(".SS \"\\&cloakroom users add\"\n\\&Add a user\n"), "{page}");
        assert!(page.contains("\\-\\-group") && page.contains("\\&A \\e 'group'"), "{page}");
        assert!(page.contains(".SS \"\\&cloakroom man\""));
        assert!(page.contains(".SH \"EXIT STATUS\""));
    }
}
