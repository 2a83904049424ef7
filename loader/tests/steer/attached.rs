//! On an interface: driver mode and generic mode, other people's programs, and every way to come off again. Each
//! test has a network namespace of its own, which goes with its thread and its children.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use megaping_loader::{LoadError, Mode, Pass, Steer};

use crate::CONFIG;

/// Names the interface to the process that is to be killed.
const CHILD: &str = "MEGAPING_TEST_STEER_CHILD";

/// Runs a test in a thread with a network of its own: a veth pair `near`, `far`.
fn in_own_network(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: no pointers; the new namespace is this thread's alone.
        let unshared = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(unshared, 0, "this test needs root: {}", std::io::Error::last_os_error());
        shell("ip link add near type veth peer name far; ip link set near up; ip link set far up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().expect("sh runs");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What `ip` says of an interface's program.
fn runs_a_program(ifname: &str) -> bool {
    shell(&format!("ip -d link show dev {ifname}")).contains("prog/xdp")
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within ten seconds");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn root_driver_mode_where_there_is_one_and_generic_mode_with_the_reason_where_not() {
    in_own_network(|| {
        let steer = Steer::attach("near", CONFIG).unwrap();
        assert_eq!(steer.mode(), Some(Mode::Driver));
        assert!(steer.refusal().is_none());
        assert!(steer.is_attached().unwrap() && runs_a_program("near"));
        drop(steer);
        assert!(!runs_a_program("near"));

        let steer = Steer::attach("lo", CONFIG).unwrap();
        assert_eq!(steer.mode(), Some(Mode::Generic));
        assert!(steer.refusal().is_some());
        assert!(steer.mode().unwrap().to_string().contains("slower"));
        assert!(matches!(Steer::attach("nosuch", CONFIG), Err(LoadError::NoSuchInterface { .. })));
    });
}

#[test]
fn root_nobody_is_displaced() {
    in_own_network(|| {
        Pass::attach("near").unwrap();
        let refused = Steer::attach("near", CONFIG).unwrap_err();
        assert!(matches!(&refused, LoadError::Occupied { program, .. } if program == "megaping_pass"));
        assert!(runs_a_program("near"));
        Pass::detach("near").unwrap();

        let first = Steer::attach("near", CONFIG).unwrap();
        let second = Steer::attach("near", CONFIG).unwrap_err();
        assert!(matches!(&second, LoadError::Occupied { .. }), "{second}");
        assert!(matches!(Pass::attach("near"), Err(LoadError::Occupied { .. })));
        assert!(first.is_attached().unwrap());
    });
}

#[test]
fn root_an_interface_that_goes_is_noticed() {
    in_own_network(|| {
        let steer = Steer::attach("near", CONFIG).unwrap();
        shell("ip link set near down; ip link set near up");
        assert!(steer.is_attached().unwrap(), "down and up again is no reason");
        shell("ip link del near");
        wait_until("the link is dead", || !steer.is_attached().unwrap());
    });
}

#[test]
fn root_without_capabilities_it_says_which_are_missing() {
    in_own_network(|| {
        // SAFETY: no pointers. The bare system call changes this thread alone, which ends with the test; its
        // effective capabilities go with user 0.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
        assert_eq!(changed, 0, "{}", std::io::Error::last_os_error());
        let refused = Steer::attach("near", CONFIG).unwrap_err();
        assert!(matches!(refused, LoadError::Permission { .. }), "{refused:?}");
        assert!(refused.to_string().contains("CAP_BPF, CAP_NET_ADMIN"), "{refused}");
    });
}

/// Kills the process that attached, however the test ends.
struct Doomed(Child);

impl Doomed {
    fn kill(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn root_sigkill_leaves_nothing_attached() {
    // In the child, which is this test again: attach, and wait to be killed.
    if let Ok(ifname) = std::env::var(CHILD) {
        let _steer = Steer::attach(&ifname, CONFIG).unwrap();
        std::thread::sleep(Duration::from_mins(1));
        return;
    }
    in_own_network(|| {
        for ifname in ["near", "lo"] {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "attached::root_sigkill_leaves_nothing_attached"])
                .env(CHILD, ifname)
                .spawn()
                .unwrap();
            let mut child = Doomed(child);
            wait_until("the child attaches", || shell(&format!("ip link show dev {ifname}")).contains("xdp"));
            child.kill();
            wait_until("it comes off", || !shell(&format!("ip link show dev {ifname}")).contains("xdp"));
            // And the place is free.
            drop(Steer::attach(ifname, CONFIG).unwrap());
        }
    });
}
