//! What may be typed, and what it means.

use crate::report::Style;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

/// Exit codes, as `--help` tells them.
const EXIT_CODES: &str = "\
Exit status:
  0  the work was done, whatever the handshakes did
  1  with --exit-code: a handshake failed
  2  the work was not done; standard error says what and what to do

Verdicts are judged at capture time, whatever today is.";

/// Says from packets alone why a TLS handshake failed.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "tlswhy",
    version,
    about = "Says from packets alone why a TLS handshake failed",
    long_about = "Reads captures or listens on interfaces, follows every attempt to set up TLS and says of each that failed \
                  which of twelve causes it was, how sure that is, and which packets prove it.",
    after_help = EXIT_CODES,
    after_long_help = format!(
        "Examples:\n  tlswhy read trace.pcapng\n  tlswhy read --json captures/ | jq 'select(.outcome == \"failed\")'\n  \
         tlswhy show 1c9f04ab trace.pcapng\n  tlswhy explain expired_cert\n\n{EXIT_CODES}"
    ),
    arg_required_else_help = true,
    subcommand_required = true
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Say of every handshake in capture files what came of it, and why it failed
    #[command(after_long_help = format!(
        "Examples:\n  tlswhy read trace.pcapng                       a summary and a table of failures\n  \
         tlswhy read --json day1.pcap.gz day2.pcap.zst  one JSON event a line\n  \
         tcpdump -w - port 443 | tlswhy read -          from standard input\n  \
         tlswhy read -w failed.pcapng big.pcap          keep the packets of failed handshakes\n  \
         tlswhy read --trust company-ca.pem --trust mozilla trace.pcap\n\n{EXIT_CODES}"
    ))]
    Read(Read),
    /// The same on network interfaces, while it happens
    #[command(after_long_help = format!(
        "Examples:\n  tlswhy live -i eth0\n  tlswhy live -i eth0 -i eth1 -f 'port 443 or port 53'\n  \
         tlswhy live -i eth0 --json | tee events.jsonl\n\n\
         Where standard output is not a terminal, JSON events are the default. Capturing needs the right to: run as root, or \
         once\n  setcap cap_net_raw=ep /path/to/tlswhy\nLeave DNS (port 53), OCSP (port 80) and ICMP in the filter: \
         they explain failures.\n\n{EXIT_CODES}"
    ))]
    Live(Live),
    /// One handshake packet by packet, the proofs marked
    #[command(after_long_help = format!(
        "Examples:\n  tlswhy show 1c9f04ab trace.pcapng\n  tlswhy show 1c9f04ab2f5404f8 captures/ --color always | less -R\n\n{EXIT_CODES}"
    ))]
    Show(Show),
    /// What a cause means, how it looks on the wire, what to do about it
    #[command(after_long_help = format!(
        "Examples:\n  tlswhy explain                     the twelve causes\n  tlswhy explain name_mismatch\n  \
         tlswhy explain san_mismatch        the cause of a reason\n\n{EXIT_CODES}"
    ))]
    Explain(Explain),
    /// The JSON Schema of the events
    #[command(after_long_help = format!("Examples:\n  tlswhy schema > tlswhy.schema.json\n\n{EXIT_CODES}"))]
    Schema,
    /// Completions for a shell
    #[command(after_long_help = format!(
        "Examples:\n  tlswhy completions bash > /etc/bash_completion.d/tlswhy\n  \
         tlswhy completions fish > ~/.config/fish/completions/tlswhy.fish\n\n{EXIT_CODES}"
    ))]
    Completions(Completions),
    /// The manual page
    #[command(hide = true)]
    Man(Man),
}

/// `tlswhy read`
#[derive(Clone, Debug, ClapArgs)]
pub struct Read {
    /// Capture files (pcap or pcapng, plain, .gz or .zst), folders of them, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Options shared with `live`.
    #[command(flatten)]
    pub output: Output,
    /// Options shared with `live` and `show`.
    #[command(flatten)]
    pub judging: Judging,
}

/// `tlswhy live`
#[derive(Clone, Debug, ClapArgs)]
pub struct Live {
    /// Interface to listen on; repeat for several
    #[arg(short = 'i', long = "interface", required = true, value_name = "IF")]
    pub interfaces: Vec<String>,
    /// Options shared with `read`.
    #[command(flatten)]
    pub output: Output,
    /// Options shared with `read` and `show`.
    #[command(flatten)]
    pub judging: Judging,
}

/// `tlswhy show`
#[derive(Clone, Debug, ClapArgs)]
pub struct Show {
    /// The handshake's id, or its first four digits or more
    #[arg(value_name = "ID", value_parser = id)]
    pub id: String,
    /// Capture files, folders, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Options shared with `read` and `live`.
    #[command(flatten)]
    pub judging: Judging,
}

/// `tlswhy explain`
#[derive(Clone, Debug, ClapArgs)]
pub struct Explain {
    /// A cause or one of its reasons; without one, all causes are listed
    #[arg(value_name = "CAUSE")]
    pub cause: Option<String>,
}

/// `tlswhy completions`
#[derive(Clone, Debug, ClapArgs)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// `tlswhy man`
#[derive(Clone, Debug, ClapArgs)]
pub struct Man {
    /// Write the pages of all subcommands into this folder; without it, the main page goes to standard output
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// What comes out.
#[derive(Clone, Debug, ClapArgs)]
pub struct Output {
    /// One JSON event a line on standard output, nothing else there
    #[arg(long)]
    pub json: bool,
    /// Write the packets of failed handshakes, and of no others, to this file
    #[arg(short = 'w', long = "write", value_name = "OUT.pcapng")]
    pub write: Option<PathBuf>,
    /// Exit with 1 where a handshake failed
    #[arg(long)]
    pub exit_code: bool,
    /// Show no progress on standard error
    #[arg(long)]
    pub no_progress: bool,
}

/// How attempts are found and judged.
#[derive(Clone, Debug, ClapArgs)]
pub struct Judging {
    /// Roots to trust: system, mozilla, or a file or folder of PEM certificates; repeat to add up
    ///
    /// Chains are judged against these roots, not against those of the client in the capture, which no packet tells.
    /// A company's own roots belong here.
    #[arg(long, value_name = "system|mozilla|FILE|DIR", default_value = "mozilla")]
    pub trust: Vec<Trust>,
    /// Threads that follow connections [default: one a core]
    ///
    /// The events do not depend on it.
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroUsize>,
    /// Look only at packets that match this BPF expression, as tcpdump writes it
    #[arg(short = 'f', long, value_name = "BPF")]
    pub filter: Option<String>,
    /// Ports where a connection that never carried a byte counts as an attempt at TLS
    ///
    /// TLS itself is found on every port. A comma-separated list; ranges as 8440-8449.
    #[arg(long, value_name = "LIST", default_value = DEFAULT_PORTS)]
    pub ports: Ports,
}

/// HTTPS and its usual second ports, mail (465, 587, 993, 995), LDAP, DNS, FTP, Telnet, SIP, AMQP, syslog, MQTT over TLS.
const DEFAULT_PORTS: &str = "443,8443,4430,465,587,636,853,989,990,993,995,5061,5671,6514,8883";

impl Judging {
    /// Threads to run: as asked, else one a core.
    pub fn workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.workers.map_or_else(cores, NonZeroUsize::get)
    }
}

/// Roots to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The operating system's.
    System,
    /// Mozilla's, as compiled in.
    Mozilla,
    /// PEM certificates in a file or in the files of a folder.
    Path(PathBuf),
}

impl FromStr for Trust {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err(String::from("name system, mozilla, or a file or folder of PEM certificates")),
            "system" => Ok(Self::System),
            "mozilla" => Ok(Self::Mozilla),
            path if std::path::Path::new(path).exists() => Ok(Self::Path(path.into())),
            path => Err(format!("no such file or folder: {path} (or say system or mozilla)")),
        }
    }
}

/// Ports of TLS services, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(pub Vec<u16>);

impl Ports {
    /// Whether a port is among them.
    pub fn contains(&self, port: u16) -> bool {
        self.0.binary_search(&port).is_ok()
    }
}

impl Default for Ports {
    fn default() -> Self {
        DEFAULT_PORTS.parse().unwrap_or(Self(vec![443]))
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| {
            let port = text.trim().parse::<u16>().ok().filter(|&port| port > 0);
            port.ok_or_else(|| format!("{text:?} is no port (1 to 65535); write 443,8443 or 8440-8449"))
        };
        let mut ports = Vec::new();
        for part in text.split(',') {
            match part.split_once('-') {
                None => ports.push(port(part)?),
                Some((first, last)) => {
                    let (first, last) = (port(first)?, port(last)?);
                    if first > last {
                        return Err(format!("{part:?} runs backwards"));
                    }
                    ports.extend(first..=last);
                }
            }
        }
        ports.sort_unstable();
        ports.dedup();
        Ok(Self(ports))
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// How to render on standard output: colours as asked, columns of the terminal, 100 where there is none.
    pub fn style(self) -> Style {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = std::io::stdout().is_terminal();
        let columns = terminal.then(terminal_size::terminal_size).flatten();
        let width = columns.map_or(Style::default().width, |(width, _)| usize::from(width.0));
        Style { colour: self.wanted(terminal, no_color || dumb), width }
    }

    fn wanted(self, terminal: bool, refused: bool) -> bool {
        match self {
            Self::Auto => terminal && !refused,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Four to sixteen hexadecimal digits.
fn id(text: &str) -> Result<String, String> {
    let digits = text.to_ascii_lowercase();
    if (4..=16).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(digits)
    } else {
        Err(String::from("an id has 16 hexadecimal digits, of which the first 4 or more will do"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("tlswhy").chain(line.split_whitespace()))
    }

    fn read(line: &str) -> Read {
        match parse(line).unwrap().command {
            Command::Read(read) => read,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_subcommand_has_help_with_examples() {
        for command in Args::command().get_subcommands_mut().filter(|command| !command.is_hide_set()) {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:") && help.contains("Exit status:"), "{}", command.get_name());
        }
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let read = read("read a.pcap");
        assert_eq!(read.judging.trust, [Trust::Mozilla]);
        assert!(read.judging.workers() >= 1);
        assert!(read.judging.ports.contains(8883) && !read.judging.ports.contains(80));
        assert!(!read.output.json && !read.output.exit_code);
    }

    #[test]
    fn options_stand_before_or_behind_the_paths() {
        let read = read(
            "read -w out.pcapng --json a.pcap b/ --trust system --trust mozilla --workers 3 --color never",
        );
        assert_eq!(read.paths.len(), 2);
        assert_eq!(read.judging.trust, [Trust::System, Trust::Mozilla]);
        assert_eq!(read.judging.workers(), 3);
        assert!(read.output.write.is_some());
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_2() {
        for line in [
            "read",
            "live",
            "live -i",
            "show a.pcap",
            "show xyz! a.pcap",
            "show 123 a.pcap",
            "read --workers 0 a.pcap",
            "read --ports 0 a.pcap",
            "read --ports 443,x a.pcap",
            "read --trust /no/such/file a.pcap",
            "read --nonsense a.pcap",
            "completions tcsh",
            "frobnicate",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn standard_input_is_a_path() {
        assert_eq!(read("read -").paths, [PathBuf::from("-")]);
    }

    #[test]
    fn interfaces_add_up() {
        match parse("live -i eth0 -i eth1 -f udp").unwrap().command {
            Command::Live(live) => assert_eq!(live.interfaces, ["eth0", "eth1"]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ports_are_lists_and_ranges() {
        assert_eq!("8443, 443,440-442,443".parse::<Ports>().unwrap().0, [440, 441, 442, 443, 8443]);
        assert!("9-3".parse::<Ports>().is_err() && "".parse::<Ports>().is_err());
        assert_eq!("1-65535".parse::<Ports>().unwrap().0.len(), 65_535);
    }

    #[test]
    fn colours_follow_the_terminal_unless_told() {
        assert!(Color::Auto.wanted(true, false));
        assert!(!Color::Auto.wanted(true, true));
        assert!(!Color::Auto.wanted(false, false));
        assert!(Color::Always.wanted(false, true));
        assert!(!Color::Never.wanted(true, false));
    }
}
