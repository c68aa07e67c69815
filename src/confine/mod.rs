//! Floor 6: what the program gives up once its rings and files are open.
//!
//! A program that reads packets of strangers for months is worth attacking. [`confine`] leaves it what its work needs
//! and nothing else, in layers that do not rely on each other:
//!
//! | layer | what is left |
//! |---|---|
//! | user | an unprivileged one, without supplementary groups |
//! | capabilities | `CAP_NET_RAW`, or none; no program that it could start gains any (`no_new_privs`) |
//! | Landlock | the folders of its outputs writable, those of its configuration and roots readable; no TCP, no signals |
//! | seccomp | the system calls of `calls`; any other is answered with `EPERM` |
//!
//! Capabilities, Landlock and `no_new_privs` belong to a thread and to those that it starts. So it is called before the
//! first thread is started, and says so where that was too late.

mod calls;
mod capabilities;
mod files;
mod user;

use std::fmt;
use std::path::{Path, PathBuf};

pub use user::{User, is_root};

/// What is to be left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Become this user; none: stay who one is.
    pub user: Option<User>,
    /// Folders and files that may be written, and read.
    pub write: Vec<PathBuf>,
    /// Folders and files that may be read.
    pub read: Vec<PathBuf>,
    /// Keep `CAP_NET_RAW` and the calls for a packet socket, so that an interface that went away can be opened again.
    pub reopen: bool,
}

impl Plan {
    /// Lets an output be opened again, also where a rotation moved the old file away.
    ///
    /// A regular file, there or to come, needs its folder; anything else (a FIFO, a terminal) only itself.
    pub fn output(&mut self, file: &Path) {
        let special = std::fs::metadata(file).is_ok_and(|about| !about.is_file() && !about.is_dir());
        self.write.push(if special { file.to_owned() } else { folder(file) });
    }

    /// Lets an input be read again, also where an editor put a new file in the place of the old.
    pub fn input(&mut self, path: &Path) {
        self.read.push(if path.is_dir() { path.to_owned() } else { folder(path) });
    }
}

/// The folder of a file; the file itself where that would be the root of everything.
fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) if parent != Path::new("/") => parent.to_owned(),
        _ => file.to_owned(),
    }
}

/// What is in force, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confined {
    user: String,
    capabilities: Vec<String>,
    /// Landlock's version and the folders, where the kernel has it.
    files: Option<(String, Plan)>,
    /// Calls that are allowed, where the kernel filters them.
    calls: Option<usize>,
    /// What is not in force although it was asked for, and why.
    pub lacks: Vec<String>,
}

impl fmt::Display for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |list: &[String]| match list {
            [] => "none".to_owned(),
            list => list.join(", "),
        };
        write!(f, "user {}, capabilities {}, no new privileges", self.user, words(&self.capabilities))?;
        if let Some((version, plan)) = &self.files {
            let paths = |list: &[PathBuf]| {
                let mut list: Vec<_> = list.iter().map(|path| path.display().to_string()).collect();
                list.sort();
                list.dedup();
                words(&list)
            };
            write!(f, ", Landlock {version} (write: {}; read: {})", paths(&plan.write), paths(&plan.read))?;
        }
        if let Some(calls) = self.calls {
            write!(f, ", {calls} system calls allowed")?;
        }
        Ok(())
    }
}

/// What was being given up, and why it was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfineError {
    what: String,
    why: String,
}

impl ConfineError {
    fn new(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { what: what.into(), why: why.to_string() }
    }
}

impl fmt::Display for ConfineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for ConfineError {}

/// Gives up all but what the plan leaves. Call it once, before the first thread is started.
///
/// What this kernel cannot do is listed in [`Confined::lacks`]; the rest is in force.
///
/// # Errors
/// The user could not be changed or privileges not be dropped: going on would be worse than ending.
pub fn confine(plan: &Plan) -> Result<Confined, ConfineError> {
    let mut lacks = Vec::new();
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        lacks.push(format!("threads that were started before ({})", threads - 1));
    }
    // Paths are opened while every folder on the way to them may still be passed.
    let rules = files::Rules::open(plan);
    let become_user = plan.user.as_ref().filter(|user| user.can_be_become());
    if become_user.is_none() && plan.user.is_some() {
        lacks.push("the user (CAP_SETUID and CAP_SETGID are missing)".into());
    }
    let user = become_user.map_or_else(user::current, |user| user.name.clone());
    capabilities::prepare(become_user.is_some() && plan.reopen)?;
    if let Some(user) = become_user {
        user::become_user(user)?;
    }
    let left = capabilities::drop_others(plan.reopen)?;
    nix::sys::prctl::set_no_new_privs()
        .map_err(|error| ConfineError::new("cannot forbid new privileges", error))?;
    let files = match rules.and_then(files::Rules::enforce) {
        Ok((version, missing)) => {
            lacks.extend(missing);
            Some((version, plan.clone()))
        }
        Err(why) => {
            lacks.push(why);
            None
        }
    };
    let calls = match calls::enforce(plan.reopen) {
        Ok(count) => Some(count),
        Err(why) => {
            lacks.push(why);
            None
        }
    };
    Ok(Confined { user, capabilities: left, files, calls, lacks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_needs_its_folder_and_a_device_only_itself() {
        let mut plan = Plan::default();
        for path in ["/var/log/tlswhy/events.jsonl", "events.jsonl", "/events.jsonl", "/dev/null"] {
            plan.output(Path::new(path));
        }
        assert_eq!(plan.write, ["/var/log/tlswhy", ".", "/events.jsonl", "/dev/null"].map(PathBuf::from));
    }

    #[test]
    fn an_input_needs_its_folder_and_a_folder_itself() {
        let mut plan = Plan::default();
        plan.input(Path::new("/no-such/roots.pem"));
        plan.input(Path::new("/proc/self"));
        assert_eq!(plan.read, ["/no-such", "/proc/self"].map(PathBuf::from));
    }

    #[test]
    fn one_line_says_what_is_in_force() {
        let plan = Plan { write: vec!["/b".into(), "/a".into(), "/b".into()], ..Plan::default() };
        let mut confined = Confined {
            user: "nobody".into(),
            capabilities: vec!["net_raw".into()],
            files: Some(("ABI 3".into(), plan)),
            calls: Some(61),
            lacks: Vec::new(),
        };
        assert_eq!(
            confined.to_string(),
            "user nobody, capabilities net_raw, no new privileges, Landlock ABI 3 (write: /a, /b; read: none), \
             61 system calls allowed"
        );
        (confined.files, confined.calls, confined.capabilities) = (None, None, Vec::new());
        assert_eq!(confined.to_string(), "user nobody, capabilities none, no new privileges");
    }
}
