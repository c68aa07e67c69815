//! Capabilities: `CAP_NET_RAW` or none, in every set.

use caps::{CapSet, Capability, CapsHashSet};

use super::ConfineError;

fn cannot(error: impl std::fmt::Display) -> ConfineError {
    ConfineError::new("cannot drop capabilities", error)
}

/// What must be done while still privileged.
pub(super) fn prepare(keep_over_the_change_of_user: bool) -> Result<(), ConfineError> {
    // The bounding set can be emptied by who holds CAP_SETPCAP only. For others it means nothing: without new
    // privileges no program started later gains what it names.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).map_err(cannot)? {
        caps::clear(None, CapSet::Bounding).map_err(cannot)?;
    }
    // Leaving root would take all of them.
    if keep_over_the_change_of_user {
        caps::securebits::set_keepcaps(true).map_err(cannot)?;
    }
    Ok(())
}

/// Drops every capability but `CAP_NET_RAW`, and that too unless it is to be kept. Names what is left.
pub(super) fn drop_others(keep_net_raw: bool) -> Result<Vec<String>, ConfineError> {
    let has = caps::has_cap(None, CapSet::Permitted, Capability::CAP_NET_RAW).map_err(cannot)?;
    let left: CapsHashSet =
        if keep_net_raw && has { [Capability::CAP_NET_RAW].into() } else { CapsHashSet::new() };
    // Ambient ones go first, as they may not exceed the inheritable; effective ones are part of the permitted.
    caps::clear(None, CapSet::Ambient).map_err(cannot)?;
    caps::clear(None, CapSet::Inheritable).map_err(cannot)?;
    caps::clear(None, CapSet::Effective).map_err(cannot)?;
    caps::set(None, CapSet::Permitted, &left).map_err(cannot)?;
    caps::set(None, CapSet::Effective, &left).map_err(cannot)?;
    caps::securebits::set_keepcaps(false).map_err(cannot)?;
    let now = caps::read(None, CapSet::Effective).map_err(cannot)?;
    let name = |cap: &Capability| cap.to_string().trim_start_matches("CAP_").to_ascii_lowercase();
    let mut names: Vec<_> = now.iter().map(name).collect();
    names.sort();
    Ok(names)
}
