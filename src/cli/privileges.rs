//! Which privileges `live` gives up, and what it says of it.

use std::path::{Path, PathBuf};

use super::Failure;
use super::args::LiveArgs;
use super::config::Confine;
use super::output::say;
use crate::capture::filter::Filter;
use crate::confine::{self, Plan, User};
use crate::tls::trust::Trust;

/// Where the names of ports and protocols in a filter are looked up.
const NAMES: [&str; 4] = ["/etc/hosts", "/etc/nsswitch.conf", "/etc/protocols", "/etc/services"];

/// Gives up what is not needed any more. Call it when rings, outputs and sockets are open, before the first thread is
/// started; `outputs` are the files that may be opened again.
///
/// # Errors
/// The user is not there or cannot be changed, or `--confine require` asks for what this kernel has not.
pub fn give_up(args: &LiveArgs, outputs: &[PathBuf]) -> Result<(), Failure> {
    let service = &args.service;
    if service.confine == Confine::Off {
        if service.user.is_some() {
            return Err(Failure::Says("--user and --confine off contradict each other".into()));
        }
        say("not confined, as asked");
        return Ok(());
    }
    let plan = plan(args, outputs)?;
    let confined = confine::confine(&plan).map_err(|error| Failure::Says(error.to_string()))?;
    if service.confine == Confine::Require && !confined.lacks.is_empty() {
        return Err(Failure::Says(format!(
            "cannot confine {} (--confine auto goes on without)",
            confined.lacks.join(", ")
        )));
    }
    say(format_args!("confined: {confined}"));
    for lack in &confined.lacks {
        say(format_args!("not confined: {lack}"));
    }
    for trouble in troubles(args, outputs) {
        say(format_args!("{trouble}"));
    }
    Ok(())
}

fn plan(args: &LiveArgs, outputs: &[PathBuf]) -> Result<Plan, Failure> {
    let user = match &args.service.user {
        Some(name) => {
            let user = User::find(name).map_err(|error| Failure::Says(error.to_string()))?;
            if !user.can_be_become() {
                return Err(Failure::Says(format!("cannot become user {name}: only root can")));
            }
            Some(user)
        }
        // Who may capture without being root was given that right and nothing else, and stays who they are.
        None if confine::is_root() => Some(User::nobody()),
        None => None,
    };
    let mut plan = Plan { user, reopen: !args.service.no_reopen, ..Plan::default() };
    for output in outputs {
        plan.output(output);
    }
    for input in inputs(args) {
        plan.input(&input);
    }
    // What the kernel says of an interface's losses and of the program's memory. A card that is taken out and put in
    // again comes back under the same bus.
    for interface in args.all_interfaces() {
        let device = Path::new("/sys/class/net").join(interface).canonicalize();
        plan.read.extend(device.ok().and_then(|device| device.parent().map(Path::to_owned)));
    }
    plan.read.push("/proc/self".into());
    // A filter is compiled again when an interface comes back.
    if args.shared.filter.is_some() {
        plan.read.extend(NAMES.iter().map(PathBuf::from).filter(|path| path.exists()));
    }
    Ok(plan)
}

/// What a reload reads.
fn inputs(args: &LiveArgs) -> Vec<PathBuf> {
    let roots =
        args.shared.trust.iter().filter(|word| *word != "mozilla").flat_map(|word| match word.as_str() {
            "system" => Trust::SYSTEM_FILES.iter().map(PathBuf::from).filter(|path| path.exists()).collect(),
            path => vec![PathBuf::from(path)],
        });
    let named = args.shared.config.iter().chain(&args.shared.certs).chain(&args.shared.keylog);
    named.cloned().chain(roots).collect()
}

/// What the new user may not do although it will have to, told now and not at the first reload or rotation.
fn troubles(args: &LiveArgs, outputs: &[PathBuf]) -> Vec<String> {
    let may = |path: &Path, access| rustix::fs::access(path, access).is_ok();
    let unread = inputs(args).into_iter().filter(|path| !may(path, rustix::fs::Access::READ_OK));
    let unread = unread.map(|path| {
        format!("{} cannot be read any more: a reload will leave the configuration as it is", path.display())
    });
    let unwritten = outputs.iter().filter(|path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => !may(folder, rustix::fs::Access::WRITE_OK),
        _ => !may(Path::new("."), rustix::fs::Access::WRITE_OK),
    });
    let unwritten = unwritten.map(|path| {
        format!(
            "{} cannot be made again by this user: after a rotation the old file is written on",
            path.display()
        )
    });
    let filter = args.shared.filter.as_deref().and_then(|filter| Filter::new(filter).err());
    let filter = filter.map(|error| {
        format!("an interface that comes back will not be opened: {error}; write numbers for names of hosts")
    });
    unread.chain(unwritten).chain(filter).collect()
}
