//! Compiles `../ebpf/*.bpf.c` with clang and generates a skeleton for each, which embeds the object.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libbpf_cargo::SkeletonBuilder;

const PROGRAMS: [&str; 5] = ["world", "pass", "meter", "steer", "kernel"];

fn main() -> Result<(), Box<dyn Error>> {
    let ebpf = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../ebpf");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".into());
    println!("cargo:rerun-if-env-changed=CLANG");
    println!("cargo:rerun-if-changed={}", ebpf.display());
    check(&clang, "compiles the eBPF programs", "$CLANG")?;
    // Not ours, but it builds beside us, and its own message names no package.
    check("m4", "is what libxdp's build takes (AF_XDP)", "$PATH")?;
    for program in PROGRAMS {
        SkeletonBuilder::new()
            .source(ebpf.join(format!("{program}.bpf.c")))
            .clang(&clang)
            .clang_args(clang_args(&ebpf)?)
            .build_and_generate(out.join(format!("{program}.skel.rs")))
            .map_err(|e| format!("ebpf/{program}.bpf.c does not compile: {e:#}"))?;
    }
    Ok(())
}

fn check(tool: &str, why: &str, variable: &str) -> Result<(), String> {
    let found = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(format!(
        "`{tool}` {why}, and does not run here. Install what building takes (Debian, Ubuntu: `apt install clang \
         libclang-dev m4 libelf-dev zlib1g-dev pkg-config make gcc libc6-dev linux-libc-dev`), or name it in {variable}."
    ))
}

fn clang_args(ebpf: &Path) -> Result<Vec<String>, env::VarError> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let mut args = vec![
        // v3 (32-bit ALU and jumps) is older than every kernel that this program supports, and shorter code.
        "-mcpu=v3".into(),
        "-Wall".into(),
        "-Werror".into(),
        // Headers are read by words of any width; the optimiser must not think that they cannot overlap.
        "-fno-strict-aliasing".into(),
        format!("-I{}", ebpf.join("include").display()),
        // Debian keeps <asm/types.h> by architecture, and clang does not look there for its bpf target.
        format!("-I/usr/include/{arch}-linux-gnu"),
    ];
    if arch == "x86_64" {
        // glibc's stubs-32.h is absent without gcc-multilib; this says that we are not a 32-bit program.
        args.push("-D__x86_64__".into());
    }
    Ok(args)
}
