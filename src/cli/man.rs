//! `completions` and `man`: what packages install.

use super::args::{Args, Completions, Man};
use super::explain::print;
use clap::CommandFactory;

/// Prints a shell's completions.
pub fn completions(args: &Completions) -> Result<(), String> {
    print(&script(args.shell))
}

/// Prints the manual page, or writes those of all subcommands into a folder.
pub fn run(args: &Man) -> Result<(), String> {
    match &args.dir {
        None => print(&page()?),
        Some(dir) => std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(Args::command(), dir))
            .map_err(|error| format!("cannot write manual pages to {}: {error}", dir.display())),
    }
}

fn script(shell: clap_complete::Shell) -> String {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "tlswhy", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn page() -> Result<String, String> {
    let mut out = Vec::new();
    let page = clap_mangen::Man::new(Args::command());
    page.render(&mut out).map_err(|error| format!("cannot render the manual page: {error}"))?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_completes_every_subcommand() {
        for shell in clap_complete::Shell::value_variants() {
            let script = script(*shell);
            for word in ["read", "live", "show", "explain", "schema"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn the_manual_page_has_its_sections() {
        let page = page().unwrap();
        for section in [".TH tlswhy", ".SH SYNOPSIS", ".SH OPTIONS", ".SH SUBCOMMANDS", "Exit status"] {
            assert!(page.contains(section), "{section}");
        }
    }
}
