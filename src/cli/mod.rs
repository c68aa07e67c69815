//! Floor 8: the command line. What is said on standard output, what on standard error, and the exit code.

pub mod args;
mod bounds;
mod captures;
mod certs;
pub mod config;
mod explain;
mod keep;
mod keylog;
mod live;
mod notify;
mod output;
mod privileges;
mod read;
mod show;
mod vantages;

use std::fmt;
use std::process::ExitCode;

use args::Command;

/// Why the work was not done: what was being done, to what, and what to do next.
#[derive(Debug)]
pub enum Failure {
    /// For people, on standard error; exit code 2.
    Says(String),
    /// Standard output was closed by its reader: quiet, exit code 0.
    ClosedPipe,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Says(text) => f.write_str(text),
            Self::ClosedPipe => f.write_str("standard output was closed"),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::ClosedPipe
        } else {
            Self::Says(format!("cannot write to standard output: {error}"))
        }
    }
}

/// How a command that did its work ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Exit code 0.
    Well,
    /// `--exit-code` was given and a handshake failed: exit code 1.
    Failures,
    /// Part of the work was not done, and has been said: exit code 2.
    Partly,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let argv: Vec<_> = std::env::args_os().collect();
    let args = match config::parse(&argv) {
        Ok(args) => args,
        Err(config::Unusable::File(why)) => {
            eprintln!("tlswhy: {why}");
            return ExitCode::from(2);
        }
        Err(config::Unusable::Use(error)) => {
            // Help and version are asked for, all else is bad use.
            let code = if error.use_stderr() { 2 } else { 0 };
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    let done = match args.command {
        Command::Read(args) => read::run(&args),
        Command::Live(args) if args.service.check => config::check(&args),
        Command::Live(args) => live::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Certs(args) => certs::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Schema => explain::schema(),
        Command::Completions { shell } => explain::completions(shell),
        Command::Man { command } => explain::man(command.as_deref()),
    };
    match done {
        Ok(Done::Well) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Ok(Done::Failures) => ExitCode::from(1),
        Ok(Done::Partly) => ExitCode::from(2),
        Err(Failure::Says(text)) => {
            eprintln!("tlswhy: {text}");
            ExitCode::from(2)
        }
    }
}
