//! Gives up what a run no longer needs once its way to the wire is open.
//!
//! Everything goes: bounding, ambient, inheritable, permitted and effective set, and the right to gain anything by
//! execve(2). It must happen while there is one thread: capabilities are a thread's, and those that it starts inherit
//! them. `docs/security.md` says what is left and what it is good for.
//!
//! System calls: `prctl`, `capset`.

use std::io;
use std::path::Path;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

pub use rustix::thread::CapabilitySet as Capabilities;

/// What writing to a store takes: nothing, unless this is root and the directory is somebody else's. Until it exists its
/// parents decide.
#[must_use]
pub fn for_store(store: Option<&Path>) -> Capabilities {
    use std::os::unix::fs::MetadataExt;
    let nearest = store.into_iter().flat_map(Path::ancestors).find_map(|path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        path.metadata().ok()
    });
    let me = rustix::process::geteuid();
    match nearest {
        Some(directory) if me.is_root() && directory.uid() != me.as_raw() => CapabilitySet::DAC_OVERRIDE,
        _ => CapabilitySet::empty(),
    }
}

/// Gives up all capabilities of the calling thread but `kept`, for good.
///
/// # Errors
/// What capset(2) or prctl(2) say.
pub fn drop_all_but(kept: Capabilities) -> io::Result<()> {
    set_no_new_privs(true)?;
    for capability in CapabilitySet::all().difference(kept).iter() {
        // Without CAP_SETPCAP the bounding set stays, and what it bounds is out of reach: see above. A kernel that
        // does not know a capability has no need to forget it.
        if let Err(error) = remove_capability_from_bounding_set(capability)
            && !matches!(error, rustix::io::Errno::PERM | rustix::io::Errno::INVAL)
        {
            return Err(error.into());
        }
    }
    clear_ambient_capability_set()?;
    let CapabilitySets { permitted, .. } = capabilities(None)?;
    let left = permitted.intersection(kept);
    let sets = CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_capabilities_that_were_given_up_are_gone_for_this_thread_and_those_it_starts() {
        let had = capabilities(None).expect("the kernel tells");
        assert!(had.permitted.contains(CapabilitySet::NET_RAW), "this test needs root");
        let thread = std::thread::spawn(|| {
            drop_all_but(CapabilitySet::DAC_OVERRIDE).expect("it is allowed");
            std::thread::spawn(|| {
                (capabilities(None), drop_all_but(CapabilitySet::all()), capabilities(None))
            })
            .join()
        });
        let (before, again, after) = thread.join().expect("no panic").expect("no panic");
        let kept = CapabilitySet::DAC_OVERRIDE;
        let left = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
        again.expect("asking for what one has not is no error");
        assert_eq!((before.expect("the kernel tells"), after.expect("the kernel tells")), (left, left));
    }

    #[test]
    fn a_store_of_ones_own_takes_no_capability() {
        let dir = tempfile::tempdir().expect("a directory");
        for path in [dir.path().to_owned(), dir.path().join("not/there/yet")] {
            assert_eq!(for_store(Some(&path)), Capabilities::empty(), "{path:?}");
        }
        assert_eq!(for_store(None), Capabilities::empty());
    }
}
