//! Landlock: which folders can be reached, and that no TCP connection and no signal leaves.

use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope, make_bitflags,
};

use super::Plan;

/// The newest version whose rights were tried here. An older kernel enforces those that it knows.
const KNOWN: ABI = ABI::V7;

/// A rule set, ready to be enforced.
pub(super) struct Rules {
    rules: RulesetCreated,
    missing: Vec<String>,
}

impl Rules {
    /// Opens the plan's paths. A path that is not there is a lack, not an end.
    pub fn open(plan: &Plan) -> Result<Self, String> {
        let rules = Ruleset::default()
            .handle_access(AccessFs::from_all(KNOWN))
            .and_then(|rules| rules.handle_access(AccessNet::from_all(KNOWN)))
            .and_then(|rules| rules.scope(Scope::from_all(KNOWN)))
            .and_then(Ruleset::create)
            .map_err(|error| format!("Landlock ({error})"))?;
        let mut all = Self { rules, missing: Vec::new() };
        let write = make_bitflags!(AccessFs::{
            ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile
        });
        let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
        for path in &plan.write {
            all = all.allow(path, write)?;
        }
        for path in &plan.read {
            all = all.allow(path, read)?;
        }
        Ok(all)
    }

    fn allow(mut self, path: &Path, access: BitFlags<AccessFs>) -> Result<Self, String> {
        match PathFd::new(path) {
            // Of a file, only what a file has.
            Ok(fd) => {
                let access = if path.is_dir() { access } else { access & AccessFs::from_file(KNOWN) };
                self.rules = self
                    .rules
                    .add_rule(PathBeneath::new(fd, access))
                    .map_err(|error| format!("Landlock ({}: {error})", path.display()))?;
            }
            Err(error) => self.missing.push(format!("reading or writing {} ({error})", path.display())),
        }
        Ok(self)
    }

    /// Enforces them for this thread and those that it starts. The version in force, and what is missing of it.
    pub fn enforce(self) -> Result<(String, Vec<String>), String> {
        let status = self.rules.restrict_self().map_err(|error| format!("Landlock ({error})"))?;
        match (status.ruleset, status.landlock) {
            (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
                Err("Landlock (this kernel was started without it)".into())
            }
            (RulesetStatus::NotEnforced, _) => Err("Landlock (this kernel has none)".into()),
            (_, LandlockStatus::Available { effective_abi, .. }) => {
                Ok((said(effective_abi.min(KNOWN)), self.missing))
            }
            _ => Ok((String::new(), self.missing)),
        }
    }
}

/// A version, and what an older one than ours does not restrict.
fn said(version: ABI) -> String {
    let number = version as i32;
    let without = match version {
        ABI::V1 | ABI::V2 => " without truncation, TCP, devices and signals",
        ABI::V3 => " without TCP, devices and signals",
        ABI::V4 => " without devices and signals",
        ABI::V5 => " without signals",
        _ => "",
    };
    format!("ABI {number}{without}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_version_says_what_it_lacks() {
        assert_eq!(said(ABI::V7), "ABI 7");
        assert_eq!(said(ABI::V3), "ABI 3 without TCP, devices and signals");
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let plan = Plan { read: vec!["/no-such-folder".into()], ..Plan::default() };
        match Rules::open(&plan) {
            Ok(rules) => assert!(rules.missing[0].contains("/no-such-folder"), "{:?}", rules.missing),
            Err(why) => assert!(why.starts_with("Landlock"), "{why}"),
        }
    }
}
