//! `cvm-watch completions`: a script that teaches a shell the commands and flags.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::{Args, CompletionsArgs};
use crate::exit::Exit;
use crate::output;

pub(crate) fn run(args: &CompletionsArgs) -> Exit {
    output::document(script(args.shell).as_bytes())
}

fn script(shell: Shell) -> String {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "cvm-watch", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // clap_complete 4.6.11 writes the dash of the program's name in two ways, and then finds no
        // command again.
        Shell::Bash => script.replace("cvm__subcmd__watch", "cvm__watch"),
        // What follows a double colon sees only the words from the first id on, so zsh would offer no
        // flag any more.
        Shell::Zsh => script.replace("'*::ids ", "'*:ids "),
        _ => script,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zsh_completes_flags_after_an_id_too() {
        let script = script(Shell::Zsh);
        assert_eq!(script.matches("'*:ids -- CVM ids").count(), 1, "{script}");
        assert!(!script.contains("'*::"), "{script}");
    }
}
