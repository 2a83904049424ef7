//! `megaping doctor` on real interfaces: what it says, what it leaves alone, and whom it refuses to flood.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;
use support::{Lab, MEGAPING, Run, count};

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", run.stdout, run.stderr))
}

fn backend<'a>(diagnosis: &'a Value, name: &str) -> &'a Value {
    let backends = diagnosis["backends"].as_array().expect("an array");
    backends.iter().find(|backend| backend["name"] == name).expect("it is listed")
}

#[test]
fn root_the_labs_interface_is_described_and_left_as_it_was() {
    let lab = Lab::up(&["--queues", "2"]);
    let doctor = |args: &[&str]| Run::of(lab.command(MEGAPING).arg("doctor").args(args));
    let link = || Run::of(lab.command("ip").args(["-d", "link", "show", "near"])).stdout;
    let untouched = link();

    let run = doctor(&["-o", "json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    let said = json(&run);
    let near = &said["interface"];
    assert_eq!((&near["name"], &near["driver"]), (&"near".into(), &"veth".into()), "the default route's");
    assert_eq!(
        (&near["up"], &near["carrier"], &near["loopback"]),
        (&true.into(), &true.into(), &false.into())
    );
    assert_eq!((count(&near["mtu"]), count(&near["queues"]["rx"])), (1500, 2));
    assert_eq!(near["xdp"]["native"], true, "{near}");
    assert_eq!(near["xdp"]["attached"], Value::Null, "{near}");
    assert_eq!(backend(&said, "xdp")["usable"], true, "{said}");
    assert_eq!(said["live_frames"]["works"], true);
    for name in ["raw", "uring"] {
        assert_eq!(backend(&said, name)["usable"], true, "{said}");
    }
    assert!(said["backend"].is_string() && said["measured"] == Value::Array(Vec::new()), "{said}");

    assert_eq!(link(), untouched, "nothing was attached or changed");

    // A program of somebody else's is seen, and left there.
    let program = support::lab_binary();
    let attached = Run::of(lab.command(&program).args(["pass", "attach", "near"]));
    assert_eq!(attached.code, 0, "{}", attached.stderr);
    let before = link();
    let said = json(&doctor(&["near", "-o", "json"]));
    let name = said["interface"]["xdp"]["attached"].as_str().expect("a program");
    assert!(name.contains("megaping_pass"), "{name}");
    let obstacle = &backend(&said, "xdp")["obstacles"][0];
    assert!(
        obstacle["fix"].as_str().is_some_and(|fix| fix.starts_with("ip link set dev near xdp off")),
        "{said}"
    );

    let text = doctor(&["near"]);
    assert_eq!(text.code, 0);
    assert!(
        text.stdout.contains("near: veth") && text.stdout.contains("Backends, fastest first:"),
        "{}",
        text.stdout
    );
    assert!(text.stdout.lines().all(|line| line.chars().count() <= 80), "{}", text.stdout);
    assert_eq!(link(), before, "nothing was taken off");
    assert_eq!(count(&lab.counters()["v4"]["requests"]), 0, "nothing was sent");
}

#[test]
fn root_measuring_reaches_the_neighbour_that_was_named_and_nobody_else() {
    let lab = Lab::up(&[]);
    let doctor = |args: &[&str]| Run::of(lab.command(MEGAPING).arg("doctor").args(args));
    for (args, words) in [
        (&["near", "--measure"][..], "needs a target"),
        (&["near", "--measure", "--target", "10.1.2.3"], "a router"),
        (&["near", "--measure", "--target", "fd00:1::1"], "a router"),
        (&["near", "--measure", "--target", "127.0.0.1"], "of the loopback"),
        (&["--measure", "--target", "198.18.0.1"], "not a neighbour on lo"),
        (&["nosuch0"], "`ip link` lists"),
    ] {
        let run = doctor(args);
        assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
        assert!(
            run.stderr.starts_with("megaping: ") && run.stderr.contains(words),
            "{args:?}: {}",
            run.stderr
        );
        assert_eq!(run.stdout, "", "{args:?}");
    }
    let requests = |family: &str| count(&lab.counters()[family]["requests"]);
    assert_eq!((requests("v4"), requests("v6")), (0, 0), "a refusal sends nothing");

    for (family, target) in [("v4", "198.18.0.1"), ("v6", "fd00:6d70::1")] {
        let run = doctor(&["near", "--measure", "--target", target, "-o", "json"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let said = json(&run);
        let measured = said["measured"].as_array().expect("an array");
        assert!(measured.iter().any(|one| one["backend"] == "raw"), "{said}");
        let sent: f64 = measured.iter().map(|one| one["sent_pps"].as_f64().expect("a number")).sum();
        assert!(sent > 1000.0 && requests(family) > 1000, "{measured:?}");
        assert!(measured.iter().all(|one| one["target"] == target), "{measured:?}");
    }
}

#[test]
fn root_without_privilege_it_says_what_is_missing_and_what_helps() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let program = dir.path().join("megaping");
    fs::copy(MEGAPING, &program).expect("the program can be copied");
    let nobody = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.args(["--inh-caps=-all", "--bounding-set=-all"]).arg(&program);
        Run::of(command.args(["doctor", "lo"]).args(args))
    };
    let run = nobody(&["-o", "json"]);
    assert_eq!((run.code, run.stderr.as_str()), (1, ""), "no backend works");
    let said = json(&run);
    assert_eq!((&said["backend"], &said["capabilities"]["cap_net_raw"]), (&Value::Null, &false.into()));
    let obstacle = &backend(&said, "raw")["obstacles"][0];
    assert_eq!(obstacle["why"], "lacks cap_net_raw");
    assert!(obstacle["fix"].as_str().is_some_and(|fix| fix.contains("setcap cap_net_raw+ep")), "{obstacle}");

    let run = nobody(&[]);
    assert_eq!(run.code, 1);
    for words in ["problem  permission", "lacks cap_net_raw", "run as root", "No backend works here"] {
        assert!(run.stdout.contains(words), "no '{words}' in: {}", run.stdout);
    }
    let run = nobody(&["--measure"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("nothing to measure"), "{}", run.stderr);
}
