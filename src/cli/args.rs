//! Every option, in one place.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::base::Limits;

/// Says from packets alone why a TLS handshake failed.
#[derive(Debug, Parser)]
#[command(
    name = "tlswhy",
    version,
    about,
    long_about = "Reads packets and says, for every TLS handshake in them, how it ended and, where it failed, which of \
                  twelve causes it was, with the packets that prove it.",
    after_help = "Exit codes: 0 the work was done, 1 a handshake failed and --exit-code was given, 2 the work was \
                  not done (standard error says what and what to do).",
    after_long_help = "Examples:\n  tlswhy read trace.pcapng\n  tlswhy read --json captures/ | jq 'select(.outcome == \"failed\")'\n  \
                       tcpdump -i eth0 -w - tcp | tlswhy read -\n  tlswhy show 3f2a91c0 trace.pcapng\n  \
                       tlswhy live -i eth0\n  tlswhy explain expired_cert\n\n\
                       Exit codes: 0 the work was done, 1 a handshake failed and --exit-code was given, 2 the work \
                       was not done (standard error says what and what to do).",
    disable_help_subcommand = true
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Analyse capture files: a summary and a table of failures, or events as JSON
    #[command(
        after_long_help = "Examples:\n  tlswhy read trace.pcap\n  tlswhy read --json /var/captures > events.jsonl\n  \
        zcat old.pcap.gz | tlswhy read -\n  tlswhy read -f 'host 192.0.2.7' --trust corporate-root.pem trace.pcapng\n  \
        tlswhy read --keylog keys.log trace.pcapng\n  tlswhy read -w failed.pcapng trace.pcapng\n  tlswhy read --inside lan.pcap --outside wan.pcap\n\n\
        With --inside and --outside both sides of a firewall or NAT are read together: which packets passed, which were \
        dropped or made between the two. One thread does that, whatever --workers says; -w is not for them."
    )]
    Read(ReadArgs),
    /// The same on interfaces, until interrupted
    #[command(
        after_long_help = "Examples:\n  tlswhy live -i eth0\n  tlswhy live -i eth0 -f 'tcp port 443' --json\n  \
        tlswhy live -i lan0 -i wan0 -o /var/log/tlswhy/events.jsonl -w /var/log/tlswhy/failed.pcapng --metrics 9187\n  \
        tlswhy live --inside lan0 --outside wan0 -o /var/log/tlswhy/events.jsonl\n  \
        tlswhy live --config /etc/tlswhy/tlswhy.toml --check\n\n\
        SIGHUP reads the configuration and the roots again and reopens the files of -o, -w and --keylog, for logrotate; SIGTERM and SIGINT finish what is \
        open, write the totals and end; a second one ends at once.\n\n\
        Needs the capability cap_net_raw (setcap cap_net_raw+ep tlswhy), or root."
    )]
    Live(Box<LiveArgs>),
    /// One handshake as a ladder of packets, with the proofs marked
    #[command(
        after_long_help = "Examples:\n  tlswhy show 3f2a91c0 trace.pcap\n  tlswhy show 3f2a91c0 --inside lan.pcap --outside wan.pcap\n\nThe table of `tlswhy read` and the \
        field `id` of events give the ID; its first four digits are enough where they name one handshake."
    )]
    Show(ShowArgs),
    /// The certificates seen, with what is wrong with them and who serves them
    #[command(
        after_long_help = "Examples:\n  tlswhy certs trace.pcap\n  tlswhy certs --format csv /var/captures > certificates.csv\n  \
        tlswhy certs --format json trace.pcap | jq 'select(.days_left < 30)'\n\nThe soonest to expire come first. Days \
        are counted from the last packet, not from today. Certificates of TLS 1.3 are sealed: \
        they are listed where --keylog or keys inside of the capture open them."
    )]
    Certs(CertsArgs),
    /// The page of a cause: symptoms, what the wire shows, remedy
    #[command(after_long_help = "Examples:\n  tlswhy explain\n  tlswhy explain broken_chain")]
    Explain(ExplainArgs),
    /// The JSON Schema of the events
    #[command(after_long_help = "Example:\n  tlswhy schema > tlswhy.schema.json")]
    Schema,
    /// A completion script for a shell
    #[command(after_long_help = "Example:\n  tlswhy completions bash > /etc/bash_completion.d/tlswhy")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// The manual page, in roff
    #[command(after_long_help = "Examples:\n  tlswhy man > /usr/local/share/man/man1/tlswhy.1\n  \
        tlswhy man live > /usr/local/share/man/man1/tlswhy-live.1")]
    Man {
        /// The command whose page it is; without one, that of the program.
        #[arg(value_name = "COMMAND")]
        command: Option<String>,
    },
}

impl Command {
    /// What the analyses share; none where packets are not analysed.
    pub fn shared(&mut self) -> Option<&mut Shared> {
        match self {
            Self::Read(args) => Some(&mut args.shared),
            Self::Live(args) => Some(&mut args.shared),
            Self::Show(args) => Some(&mut args.shared),
            Self::Certs(args) => Some(&mut args.shared),
            Self::Explain(_) | Self::Schema | Self::Completions { .. } | Self::Man { .. } => None,
        }
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What `read`, `live`, `show` and `certs` share.
#[derive(Clone, Debug, ClapArgs)]
pub struct Shared {
    /// Take options and bounds from this file; those given on the command line count more
    ///
    /// Its keys are options of `live`, and its table `limits` holds the bounds. `read`, `show` and `certs` take the bounds
    /// and the options that all four have, but not `filter`: that is which packets the service listens to.
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// Bounds; from the file only.
    #[arg(skip)]
    pub limits: Limits,
    /// Roots to judge chains by: `mozilla`, `system`, a PEM or DER file, or a folder of them; may be repeated
    #[arg(long, value_name = "mozilla|system|FILE|DIR", default_value = "mozilla")]
    pub trust: Vec<String>,
    /// Certificates known beforehand, a PEM or DER file or a folder of them: intermediates that servers may leave out, and
    /// chains of servers whose handshakes hide them; may be repeated
    #[arg(long, value_name = "FILE|DIR")]
    pub certs: Vec<PathBuf>,
    /// TLS key log, as programs write it to SSLKEYLOGFILE: opens handshakes and alerts, never application data; `live` reads
    /// on as it grows; may be repeated. Keys inside of pcapng files are used without it
    #[arg(long, value_name = "FILE")]
    pub keylog: Vec<PathBuf>,
    /// Threads that follow connections (0: one per processor); without it, two for a large file where there are two processors,
    /// else one
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// Only packets that this filter matches, as tcpdump's; see pcap-filter(7)
    #[arg(short = 'f', long, value_name = "BPF")]
    pub filter: Option<String>,
    /// Ports on which an attempt counts even if it never carried a byte (TLS itself is found on any port)
    #[arg(long, value_name = "PORT,…", value_delimiter = ',',
          default_values_t = crate::pipeline::shard::Ports::DEFAULT)]
    pub ports: Vec<u16>,
    /// Colours
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub color: When,
}

/// Both sides of a gateway (firewall, NAT), instead of `PATH`.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Sides {
    /// Captures of the inner side of a gateway, instead of PATH; each handshake is looked for on both sides, through address
    /// translation, and told once; may be repeated (packets of several are numbered through)
    #[arg(long, value_name = "PATH", requires = "outside", conflicts_with = "paths")]
    pub inside: Vec<PathBuf>,
    /// Captures of its outer side, of the same time; the clocks need not agree; may be repeated
    #[arg(long, value_name = "PATH", requires = "inside", conflicts_with = "paths")]
    pub outside: Vec<PathBuf>,
}

/// `tlswhy read`.
#[derive(Debug, ClapArgs)]
pub struct ReadArgs {
    /// Captures (pcap, pcapng, also .gz and .zst), folders of them, or `-` for standard input
    #[arg(required_unless_present = "inside", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Both sides of a gateway.
    #[command(flatten)]
    pub sides: Sides,
    /// One JSON event a line on standard output, nothing else there
    #[arg(long)]
    pub json: bool,
    /// Write the packets of failed handshakes, and only those, to this pcapng file
    #[arg(short = 'w', long = "write", value_name = "OUT.pcapng", conflicts_with = "inside")]
    pub write: Option<PathBuf>,
    /// Exit with 1 where a handshake failed
    #[arg(long)]
    pub exit_code: bool,
    /// No progress bar on standard error
    #[arg(long)]
    pub no_progress: bool,
    /// What all analyses share.
    #[command(flatten)]
    pub shared: Shared,
}

/// `tlswhy live`.
#[derive(Clone, Debug, ClapArgs)]
pub struct LiveArgs {
    /// Interface to listen on; may be repeated
    #[arg(short = 'i', long = "interface", value_name = "IF", required_unless_present_any = ["config", "inside"])]
    pub interfaces: Vec<String>,
    /// Interface on the inner side of this gateway, instead of -i and without -w; each handshake is looked for on both sides, through address
    /// translation, and told once; may be repeated
    #[arg(long, value_name = "IF", requires = "outside")]
    pub inside: Vec<String>,
    /// Interface on its outer side; may be repeated
    #[arg(long, value_name = "IF", requires = "inside")]
    pub outside: Vec<String>,
    /// One JSON event a line on standard output (the default where that is no terminal)
    #[arg(long)]
    pub json: bool,
    /// Append the events, as JSON, to this file instead; SIGHUP opens it anew; `-` is standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Append the packets of failed handshakes, and only those, to this pcapng file; SIGHUP opens it anew
    #[arg(short = 'w', long = "write", value_name = "OUT.pcapng")]
    pub write: Option<PathBuf>,
    /// Memory for recent packets, of which -w takes those of a handshake once it has failed; for each ring
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "64MiB")]
    pub recent: u64,
    /// Tell statistics this often, as an event (on standard error where events are no JSON); 0: only at the end
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub stats_interval: u64,
    /// Answer /metrics (for Prometheus), /healthz and /readyz over HTTP here; a port alone is one of 127.0.0.1
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics: Option<String>,
    /// Room in the kernel for packets that are not read yet, for each ring: --workers gives each interface as many
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "64MiB")]
    pub ring: u64,
    /// Keep only so many bytes of each packet. Handshakes need whole packets: what is cut cannot be judged
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "262144")]
    pub snaplen: u64,
    /// Exit with 1 where a handshake failed
    #[arg(long)]
    pub exit_code: bool,
    /// Do not ask the interface for packets that are not addressed to it
    #[arg(long)]
    pub no_promiscuous: bool,
    /// Read also what connections carry once they have finished their handshakes, or are none of ours. Else the kernel keeps most
    /// of it to itself on a busy Ethernet: no verdict comes of it, and counts and numbers of packets are then of those that were
    /// read. It takes CAP_BPF; without, only what the busiest connections carry is kept back
    #[arg(long)]
    pub no_bypass: bool,
    /// Keep nothing back before so many packets a second pass a ring: to read fewer costs next to nothing, and their numbers are then
    /// those of a file
    #[arg(long, value_name = "PACKETS", default_value = "100000")]
    pub bypass_from: u64,
    /// What makes a service of it.
    #[command(flatten)]
    pub service: super::config::ServiceArgs,
    /// What all analyses share.
    #[command(flatten)]
    pub shared: Shared,
}

impl LiveArgs {
    /// All interfaces to listen on: of a gateway first the inner ones.
    pub fn all_interfaces(&self) -> impl Iterator<Item = &String> {
        self.interfaces.iter().chain(&self.inside).chain(&self.outside)
    }
}

/// `tlswhy show`.
#[derive(Debug, ClapArgs)]
pub struct ShowArgs {
    /// The handshake's id, or its beginning (at least four digits)
    #[arg(value_name = "ID")]
    pub id: String,
    /// The captures it is in
    #[arg(required_unless_present = "inside", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Both sides of a gateway.
    #[command(flatten)]
    pub sides: Sides,
    /// What all analyses share.
    #[command(flatten)]
    pub shared: Shared,
}

/// `tlswhy certs`.
#[derive(Debug, ClapArgs)]
pub struct CertsArgs {
    /// Captures (pcap, pcapng, also .gz and .zst), folders of them, or `-` for standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How to write them
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
    /// No progress bar on standard error
    #[arg(long)]
    pub no_progress: bool,
    /// What all analyses share.
    #[command(flatten)]
    pub shared: Shared,
}

/// How to write a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON event a line.
    Json,
    /// RFC 4180, with a heading. Text that a spreadsheet would take for a formula gets a quote in front.
    Csv,
}

/// `tlswhy explain`.
#[derive(Debug, ClapArgs)]
pub struct ExplainArgs {
    /// The cause; without one, the list of causes
    #[arg(value_name = "CAUSE")]
    pub cause: Option<String>,
    /// Colours
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub color: When,
}

/// A number of bytes: `1048576`, `1024KiB`, `1 MiB`.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let shift = match unit.trim() {
        "" => Some(0),
        "KiB" => Some(10),
        "MiB" => Some(20),
        "GiB" => Some(30),
        _ => None,
    };
    let value =
        shift.zip(number.parse::<u64>().ok()).and_then(|(shift, number)| number.checked_mul(1 << shift));
    value.ok_or_else(|| "give a number of bytes, alone or with KiB, MiB or GiB".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_options_do_not_contradict_each_other() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_command_that_takes_arguments_shows_an_example() {
        for command in Args::command().get_subcommands() {
            if command.get_arguments().count() > 0 {
                let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("tlswhy "), "{}", command.get_name());
            }
        }
    }

    #[test]
    fn bytes_are_given_alone_or_with_a_unit() {
        assert_eq!(["262144", "256KiB", "64 MiB"].map(bytes), [Ok(1 << 18), Ok(1 << 18), Ok(64 << 20)]);
        for wrong in ["", "MiB", "-1", "1 MB", "64 mib", "99999999999 GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
