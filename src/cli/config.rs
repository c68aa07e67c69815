//! The configuration file: that of `tlswhy live`, of which `read`, `show` and `certs` take what concerns them.
//!
//! A key is the long name of an option with `_` for `-`, so that `--help` explains both; `--no-promiscuous` is
//! `promiscuous = false`. The bounds of [`Limits`], which are no options, stand in the table `[limits]`. What the command
//! line says counts more than the file, and the file more than the defaults.
//!
//! The file's options that the command line leaves open are put before it, and all are read by the one parser: what one
//! accepts the other does, with the same words.
//!
//! One file serves all commands. Whoever reads it, it is checked whole as `live` would; what is `live`'s alone is then left
//! to it.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{
    Arg, ArgAction, ArgMatches, Args as ClapArgs, CommandFactory as _, FromArgMatches as _, ValueEnum,
};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::args::{Args, Command, LiveArgs, Shared};
use super::bounds::BOUNDS;
use super::{Done, Failure, explain, output};
use crate::base::Limits;
use crate::capture::filter::Filter;
use crate::confine::User;
use crate::pipeline::Settings;

/// Whether to give up privileges once everything is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Confine {
    /// As far as this kernel can.
    #[default]
    Auto,
    /// All of it, or end.
    Require,
    /// Not at all.
    Off,
}

/// What makes a service of `live`.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct ServiceArgs {
    /// Say whether the configuration can be used and what is in force, and end
    #[arg(long)]
    pub check: bool,
    /// Become this user once everything is open; root becomes `nobody` where none is named
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Give up privileges, files and system calls that are not needed: as far as the kernel can, all or end, or not
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub confine: Confine,
    /// Give up CAP_NET_RAW too; an interface that was removed and comes back is then not opened again
    #[arg(long)]
    pub no_reopen: bool,
    /// Every setting, and where it comes from.
    #[arg(skip)]
    pub in_force: Vec<Setting>,
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key; those of bounds begin with `limits.`.
    pub key: String,
    /// Its values as they are written, none where it is not set.
    pub values: Vec<String>,
    /// Whether the file would hold a list.
    list: bool,
    /// Who says so.
    pub from: From,
}

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Nobody said otherwise.
    Default,
    /// This line of the file.
    File(usize),
    /// The command line.
    CommandLine,
}

/// Why there are no arguments to go by.
#[derive(Debug)]
pub enum Unusable {
    /// Bad use, or a page that was asked for.
    Use(clap::Error),
    /// The file cannot be used: one line a reason.
    File(String),
}

/// Settings that a reload puts in force at once. Others are named as waiting for a restart.
const AT_ONCE: &[&str] = &["trust", "ports", "filter", "stats_interval", "exit_code"];

/// Options that a file cannot hold.
const ONLY_COMMAND_LINE: [&str; 4] = ["config", "check", "help", "version"];

/// An option that all have, but its key says what the service listens to. A capture is read whole: packets left out
/// because of a file that was named for its roots would be missed by nobody, and verdicts would be poorer.
const FILTER: &str = "filter";

/// The keys that a command takes from a file.
fn keys(command: &clap::Command) -> Vec<String> {
    if command.get_name() == "live" {
        return options(command).map(|(_, key)| key).collect();
    }
    let shared = Shared::augment_args(clap::Command::new("shared"));
    options(&shared).map(|(_, key)| key).filter(|key| key != FILTER).collect()
}

/// The options of a command that a file may hold.
fn options(command: &clap::Command) -> impl Iterator<Item = (&Arg, String)> {
    command.get_arguments().filter_map(|option| {
        let long = option.get_long().filter(|long| !ONLY_COMMAND_LINE.contains(long))?;
        Some((option, long.strip_prefix("no-").unwrap_or(long).replace('-', "_")))
    })
}

/// `--no-…`: true in the file is to leave it out.
fn is_negated(option: &Arg) -> bool {
    option.get_long().is_some_and(|long| long.starts_with("no-"))
}

fn takes_value(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Set | ArgAction::Append)
}

/// The command of `live`, with what all commands have.
fn command() -> clap::Command {
    let mut all = Args::command();
    all.build();
    all
}

/// Reads the command line, and the file that it names.
///
/// # Errors
/// Bad use, or a file that cannot be read or understood.
pub fn parse(argv: &[OsString]) -> Result<Args, Unusable> {
    let matches = command().try_get_matches_from(argv).map_err(Unusable::Use)?;
    let mut args = Args::from_arg_matches(&matches).map_err(Unusable::Use)?;
    let Some((name, given)) = matches.subcommand() else { return Ok(args) };
    if let Some(path) = args.command.shared().and_then(|shared| shared.config.clone()) {
        return File::read(&path)
            .and_then(|file| file.apply(&path, argv, name, given))
            .map_err(Unusable::File);
    }
    if let Command::Live(live) = &mut args.command {
        live.service.in_force = in_force(&File::default(), given, given);
    }
    Ok(args)
}

/// What a file says: options as on a command line, each with its key and line, and bounds.
#[derive(Debug, Default)]
struct File {
    options: Vec<(String, usize, Vec<String>)>,
    bounds: Vec<(&'static str, usize)>,
    limits: Limits,
}

impl File {
    fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Self::from_text(&path.display().to_string(), &text)
    }

    /// Understands a text, or says of every line that is wrong why.
    fn from_text(name: &str, text: &str) -> Result<Self, String> {
        let line = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count() + 1;
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(1, |span| line(span.start));
            format!("{name}:{at}: {}", error.message().replace('\n', ", "))
        })?;
        let all = command();
        let live = all.find_subcommand("live").unwrap_or(&all);
        let mut file = Self::default();
        let mut wrong = Vec::new();
        for (key, value) in table.get_ref() {
            let at = line(key.span().start);
            let read = match (key.get_ref().as_ref(), value.get_ref()) {
                ("limits", DeValue::Table(bounds)) => {
                    for (key, value) in bounds {
                        let at = line(key.span().start);
                        if let Err(why) = file.bound(key.get_ref(), value, at) {
                            wrong.push((at, why));
                        }
                    }
                    Ok(())
                }
                ("limits", _) => Err("limits is a table: [limits]".into()),
                (key, _) => file.option(live, key, value, at),
            };
            wrong.extend(read.err().map(|why| (at, why)));
        }
        // The table is sorted by key.
        wrong.sort();
        let wrong: Vec<_> = wrong.into_iter().map(|(at, why)| format!("{name}:{at}: {why}")).collect();
        if wrong.is_empty() { Ok(file) } else { Err(wrong.join("\n")) }
    }

    fn bound(&mut self, key: &str, value: &Spanned<DeValue<'_>>, at: usize) -> Result<(), String> {
        let bound = BOUNDS
            .iter()
            .find(|bound| bound.key == key)
            .ok_or_else(|| unknown("[limits] has no key", key, BOUNDS.iter().map(|bound| bound.key)))?;
        let text = scalar(value.get_ref()).unwrap_or_default();
        bound.set(&mut self.limits, &text).map_err(|allowed| said(key, value, &allowed))?;
        self.bounds.push((bound.key, at));
        Ok(())
    }

    fn option(
        &mut self,
        live: &clap::Command,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        at: usize,
    ) -> Result<(), String> {
        let Some((option, _)) = options(live).find(|(_, name)| name == key) else {
            if BOUNDS.iter().any(|bound| bound.key == key) {
                return Err(format!("{key} is a bound; it stands under [limits]"));
            }
            let names: Vec<_> = options(live).map(|(_, name)| name).collect();
            let names = names.iter().map(String::as_str).chain(["limits"]);
            return Err(unknown("there is no key", key, names));
        };
        let long = option.get_long().unwrap_or(key);
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        let mut words = Vec::new();
        if takes_value(option) {
            let values = match value.get_ref() {
                DeValue::Array(list) if is_list(option) => {
                    list.iter().map(|value| scalar(value.get_ref())).collect::<Option<Vec<_>>>()
                }
                value => scalar(value).map(|value| vec![value]),
            };
            let values = values.ok_or_else(|| {
                let takes = if is_list(option) { "one value or a list of them" } else { "one value" };
                said(key, value, &format!("takes {takes} ({help})"))
            })?;
            words.extend(values.into_iter().map(|value| format!("--{long}={value}")));
        } else {
            let on = value.get_ref().as_bool().ok_or_else(|| said(key, value, "takes true or false"))?;
            if on != is_negated(option) {
                words.push(format!("--{long}"));
            }
        }
        // Alone, so that the line is known; what options say of each other comes later.
        let alone = ["tlswhy", "live", "--config=-"].into_iter().chain(words.iter().map(String::as_str));
        if let Err(error) = command().try_get_matches_from(alone)
            && matches!(
                error.kind(),
                ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::TooManyValues
            )
        {
            return Err(said(key, value, &format!("{} ({help})", allowed(&error))));
        }
        self.options.push((key.to_owned(), at, words));
        Ok(())
    }

    /// The arguments of the file and the command line together: `given`, those of the command of this name.
    fn apply(self, path: &Path, argv: &[OsString], name: &str, given: &ArgMatches) -> Result<Args, String> {
        let all = command();
        let here = all.find_subcommand(name).unwrap_or(&all);
        let mut open = keys(here);
        for (option, key) in options(here) {
            if given.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine) {
                open.retain(|open| *open != key);
            }
        }
        let place = argv.iter().skip(1).position(|word| word == name).map_or(argv.len(), |place| place + 2);
        let (before, after) = argv.split_at_checked(place).unwrap_or((argv, &[]));
        let from_file =
            self.options.iter().filter(|(key, ..)| open.contains(key)).flat_map(|(_, _, words)| words);
        let both = before.iter().cloned().chain(from_file.map(OsString::from)).chain(after.iter().cloned());
        let matches = command().try_get_matches_from(both).map_err(|error| {
            format!("{} and the command line together: {}", path.display(), plain(&error))
        })?;
        let mut args = Args::from_arg_matches(&matches).map_err(|error| plain(&error))?;
        if let (Command::Live(live), Some((_, both))) = (&mut args.command, matches.subcommand()) {
            if live.all_interfaces().next().is_none() {
                return Err(format!(
                    "{} names no interface (interface = [\"eth0\"], or -i eth0)",
                    path.display()
                ));
            }
            live.service.in_force = in_force(&self, given, both);
        }
        if let Some(shared) = args.command.shared() {
            shared.limits = self.limits;
        }
        Ok(args)
    }
}

/// What is in force for `live`: every setting, with its origin.
fn in_force(file: &File, given: &ArgMatches, all: &ArgMatches) -> Vec<Setting> {
    let root = command();
    let live = root.find_subcommand("live").unwrap_or(&root);
    let in_file = |key: &str| file.options.iter().find(|(name, ..)| name == key).map(|(_, at, _)| *at);
    options(live)
        .map(|(option, key)| {
            let id = option.get_id().as_str();
            let values = if takes_value(option) {
                let raw = all.get_raw(id).into_iter().flatten();
                raw.map(|value| value.to_string_lossy().into_owned()).collect()
            } else {
                let on = all.try_get_one::<bool>(id).ok().flatten().copied().unwrap_or(false);
                vec![(on != is_negated(option)).to_string()]
            };
            let from = match given.value_source(id) {
                Some(ValueSource::CommandLine) => From::CommandLine,
                _ => in_file(&key).map_or(From::Default, From::File),
            };
            Setting { values, list: is_list(option), from, key }
        })
        .chain(BOUNDS.iter().map(|bound| {
            let line = file.bounds.iter().find(|(key, _)| *key == bound.key).map(|(_, at)| *at);
            Setting {
                key: format!("limits.{}", bound.key),
                values: vec![bound.text(&file.limits)],
                list: false,
                from: line.map_or(From::Default, From::File),
            }
        }))
        .collect()
}

fn is_list(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Append)
}

/// A value that can stand on a command line.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn said(key: &str, value: &Spanned<DeValue<'_>>, allowed: &str) -> String {
    let value = match value.get_ref() {
        DeValue::String(text) => format!("\"{}\"", crate::report::clean(text)),
        other => scalar(other).unwrap_or_else(|| format!("({})", other.type_str())),
    };
    format!("{key} = {value}: {key} {allowed}")
}

fn unknown<'a>(says: &str, key: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let hint = known
        .clone()
        .filter_map(|name| Some((explain::near_to(key, name)?, name)))
        .min_by_key(|&(far, _)| far)
        .map(|(_, name)| format!("; did you mean {name}?"))
        .unwrap_or_default();
    let known: Vec<_> = known.collect();
    format!("{says} {}{hint} (the keys are {})", crate::report::clean(key), known.join(", "))
}

/// What a value may be, from the parser's error.
fn allowed(error: &clap::Error) -> String {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(words)) if !words.is_empty() => format!("takes {}", words.join(", ")),
        _ => match std::error::Error::source(error) {
            Some(source) => format!("cannot be that: {source}"),
            None => "cannot be that".into(),
        },
    }
}

/// The parser's error without its page.
fn plain(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

/// What `--check` prints: every setting as the file would hold it, with its origin.
pub fn render(settings: &[Setting]) -> String {
    let mut text = String::new();
    let quoted = |value: &String| {
        if value.parse::<i64>().is_ok() || ["true", "false"].contains(&value.as_str()) {
            value.clone()
        } else {
            format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
        }
    };
    let mut in_limits = false;
    for setting in settings {
        let key = setting.key.strip_prefix("limits.");
        if key.is_some() && !in_limits {
            text.push_str("\n[limits]\n");
            in_limits = true;
        }
        let key = key.unwrap_or(&setting.key);
        let values: Vec<_> = setting.values.iter().map(quoted).collect();
        let line = match values.as_slice() {
            [] => format!("# {key} is not set"),
            [value] if !setting.list => format!("{key} = {value}"),
            list => format!("{key} = [{}]", list.join(", ")),
        };
        let from = match setting.from {
            From::Default => "# default".to_owned(),
            From::File(at) => format!("# line {at}"),
            From::CommandLine => "# command line".to_owned(),
        };
        // A list that fills the line has its origin above it.
        if values.is_empty() {
            let _ = writeln!(text, "{line}");
        } else if line.len() > 60 {
            let _ = writeln!(text, "{from}:\n{line}");
        } else {
            let _ = writeln!(text, "{line:40} {from}");
        }
    }
    text
}

/// The settings of an analysis, after everything that can be tried without an interface was tried.
///
/// # Errors
/// The filter does not compile, or roots cannot be read.
pub fn usable(args: &LiveArgs) -> Result<Settings, Failure> {
    if let Some(filter) = &args.shared.filter {
        Filter::new(filter).map_err(|error| Failure::Says(error.to_string()))?;
    }
    output::settings(&args.shared, false)
}

/// `--check`.
pub fn check(args: &LiveArgs) -> Result<Done, Failure> {
    use std::io::Write as _;
    usable(args)?;
    if let Some(user) = &args.service.user {
        User::find(user).map_err(|error| Failure::Says(error.to_string()))?;
    }
    std::io::stdout().lock().write_all(render(&args.service.in_force).as_bytes())?;
    Ok(Done::Well)
}

/// A configuration read anew.
pub struct Reloaded {
    /// What to go on with.
    pub args: LiveArgs,
    /// The analysis that it asks for.
    pub settings: Settings,
    /// For people: what changed, and what of it waits for a restart.
    pub says: String,
}

/// Reads the same command line and its file anew.
///
/// # Errors
/// The new configuration cannot be used, in which case the old one goes on.
pub fn reload(old: &LiveArgs) -> Result<Reloaded, String> {
    let argv: Vec<_> = std::env::args_os().collect();
    reload_with(&argv, old)
}

fn reload_with(argv: &[OsString], old: &LiveArgs) -> Result<Reloaded, String> {
    let args = match parse(argv) {
        Ok(Args { command: Command::Live(args) }) => *args,
        Ok(_) => return Err("not a command line of live".into()),
        Err(Unusable::File(why)) => return Err(why),
        Err(Unusable::Use(error)) => return Err(plain(&error)),
    };
    let settings = usable(&args).map_err(|failure| failure.to_string())?;
    let (at_once, restart) = changes(&old.service.in_force, &args.service.in_force);
    let says = match (at_once.as_slice(), restart.as_slice()) {
        ([], []) => "nothing changed".to_owned(),
        (now, []) => format!("changed: {}", now.join(", ")),
        ([], later) => format!("a restart is needed to change {}", later.join(", ")),
        (now, later) => {
            format!("changed: {}; a restart is needed to change {}", now.join(", "), later.join(", "))
        }
    };
    Ok(Reloaded { args, settings, says: format!("configuration taken over: {says}") })
}

/// The keys whose values differ: those that a reload changes, and those that wait.
fn changes(old: &[Setting], new: &[Setting]) -> (Vec<String>, Vec<String>) {
    let value = |setting: &&Setting| {
        old.iter().find(|other| other.key == setting.key).map(|other| &other.values) != Some(&setting.values)
    };
    new.iter()
        .filter(value)
        .map(|setting| setting.key.clone())
        .partition(|key| AT_ONCE.contains(&key.as_str()))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
