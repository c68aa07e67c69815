//! Who the program is, and who it becomes.

use caps::{CapSet, Capability};
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

use super::ConfineError;

/// A user of this system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// As the system knows it.
    pub name: String,
    uid: Uid,
    gid: Gid,
}

impl User {
    /// The user of a name or number.
    ///
    /// # Errors
    /// There is none.
    pub fn find(name: &str) -> Result<Self, ConfineError> {
        let cannot =
            |why: &dyn std::fmt::Display| ConfineError::new(format!("cannot become user {name}"), why);
        let found = match name.parse() {
            Ok(uid) => nix::unistd::User::from_uid(Uid::from_raw(uid)),
            Err(_) => nix::unistd::User::from_name(name),
        };
        match found {
            Ok(Some(found)) => Ok(Self { name: found.name, uid: found.uid, gid: found.gid }),
            Ok(None) => Err(cannot(&"this system has none (useradd --system makes one)")),
            Err(error) => Err(cannot(&error.desc())),
        }
    }

    /// Whom root becomes where nobody else is named: the user that owns nothing. A system without a list of users, as
    /// a container may be, still has the number that Linux sets aside for it.
    pub fn nobody() -> Self {
        let reserved = 65_534;
        Self::find("nobody").unwrap_or_else(|_| Self {
            name: "nobody".into(),
            uid: Uid::from_raw(reserved),
            gid: Gid::from_raw(reserved),
        })
    }

    /// Whether the program may become that user: root may, unless a container took the right from it.
    pub fn can_be_become(&self) -> bool {
        let has = |cap| caps::has_cap(None, CapSet::Effective, cap).unwrap_or(false);
        self.uid == geteuid() || has(Capability::CAP_SETUID) && has(Capability::CAP_SETGID)
    }
}

/// Whether the program runs as root.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// The user that the program runs as: its name, or its number where it has none.
pub(super) fn current() -> String {
    let uid = geteuid();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

/// Real, effective and saved: there is no way back.
pub(super) fn become_user(user: &User) -> Result<(), ConfineError> {
    let cannot =
        |error: nix::Error| ConfineError::new(format!("cannot become user {}", user.name), error.desc());
    if user.uid == geteuid() && !is_root() {
        return Ok(());
    }
    // Groups first: they take the privilege that the user gives up.
    setgroups(&[]).map_err(cannot)?;
    setresgid(user.gid, user.gid, user.gid).map_err(cannot)?;
    setresuid(user.uid, user.uid, user.uid).map_err(cannot)
}
