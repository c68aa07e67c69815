//! The `tlswhy` program; everything it does is in the library.

mod allocator;

/// Attempts are made in one thread and end in another, and most are larger than what the C library keeps at hand for
/// each thread: it took a quarter of the time (benches/NOTES.md).
#[global_allocator]
static ALLOCATOR: allocator::Mimalloc = allocator::Mimalloc;

fn main() -> std::process::ExitCode {
    tlswhy::cli::main()
}
