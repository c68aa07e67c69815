//! The `tlswhy` program; everything it does is in the library.

fn main() -> std::process::ExitCode {
    tlswhy::cli::main()
}
