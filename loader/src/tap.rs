//! The tap of a program (`ebpf/tap.h`): its maps, and the pins by which `pcap-dump` finds them.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use libbpf_rs::MapHandle;

use crate::error::LoadError;

/// Bytes of the ring buffer between a program and whoever looks on.
pub(crate) const EVENTS: u32 = 1 << 20;
/// Names of the maps, and of their pins.
const NAMES: [&str; 3] = ["tap_events", "tap_switch", "tap_counts"];

/// The maps: events, switch, counts.
#[derive(Debug)]
pub struct Tap {
    maps: [MapHandle; 3],
}

/// Maps that are pinned in a directory; dropping this takes the pins and the directory away. While it lives, an
/// exclusive flock(2) on the directory says so.
#[derive(Debug)]
pub struct Pins {
    dir: PathBuf,
    _held: File,
}

impl Tap {
    pub(crate) fn new(events: MapHandle, switch: MapHandle, counts: MapHandle) -> Tap {
        Tap { maps: [events, switch, counts] }
    }

    /// Pins the maps in `dir`, which is made; its parent must be on a BPF file system. Pins of an engine that was killed
    /// give way. With a group, its members may look on, too.
    ///
    /// # Errors
    /// [`LoadError::Pin`].
    pub fn pin(&mut self, dir: &Path, group: Option<u32>) -> Result<Pins, LoadError> {
        let failed = |why: &dyn std::fmt::Display| LoadError::Pin { dir: dir.into(), why: why.to_string() };
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&error)),
            _ => {}
        }
        let held = File::open(dir).map_err(|error| failed(&error))?;
        held.try_lock().map_err(|_| failed(&"another megaping has its pins there"))?;
        let pins = Pins { dir: dir.into(), _held: held };
        let mode = |path: &Path, mode: u32| {
            fs::set_permissions(
                path,
                Permissions::from_mode(if group.is_some() { mode } else { mode & 0o700 }),
            )?;
            chown(path, None, group)
        };
        mode(dir, 0o770).map_err(|error| failed(&error))?;
        for (map, name) in self.maps.iter_mut().zip(NAMES) {
            let path = dir.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&error)),
                _ => {}
            }
            // The kernel says EPERM where it is another file system, too.
            let not_bpf = |error| {
                failed(&format_args!(
                    "{error}; is it on a BPF file system? `mount -t bpf bpf /sys/fs/bpf` makes one"
                ))
            };
            map.pin(&path).map_err(not_bpf)?;
            mode(&path, 0o660).map_err(|error| failed(&error))?;
        }
        Ok(pins)
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        for name in NAMES {
            // What is not there was never pinned.
            let _gone = fs::remove_file(self.dir.join(name));
        }
        // Whoever looks on has a directory in it to lock.
        let _gone = fs::remove_dir(self.dir.join("reader")).and_then(|()| fs::remove_dir(&self.dir));
        let _gone = fs::remove_dir(&self.dir);
    }
}
