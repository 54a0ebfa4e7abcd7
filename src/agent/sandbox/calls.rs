//! Seccomp: the process gives up system calls that no model needs.
//!
//! A list of what is forbidden, not of what is allowed: what C libraries and runtimes call differs
//! between their versions, and a call that is missing from a list would look like a broken model.
//! Forbidden calls fail with `EPERM`, as for a user without rights.
#![expect(unsafe_code, reason = "neither the standard library nor nix installs filters")]

use libc::c_long;
use libc::sock_filter;

/// What the kernel calls this processor (`linux/audit.h`); 0 for one that is not known here.
const ARCH: u32 = if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else if cfg!(target_arch = "aarch64") {
    0xc000_00b7
} else if cfg!(target_arch = "arm") {
    0x4000_0028
} else if cfg!(target_arch = "riscv64") {
    0xc000_00f3
} else {
    0
};

/// Calls of x86-64 processes with 32-bit pointers, which have numbers of their own.
const X32: u32 = 0x4000_0000;

/// Where `struct seccomp_data` has its parts; the low half of an argument comes first.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const fn argument(n: u32) -> u32 {
    16 + 8 * n
}

/// Forbidden everywhere.
const FORBIDDEN: [c_long; 74] = [
    // Sockets, and what would reach others in another way.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Other programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_personality,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_bpf,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // File systems and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_quotactl,
    libc::SYS_open_by_handle_at,
    // Modes, owners, times and attributes of files, which Landlock does not know.
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    // The machine, should the user be root.
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_setgroups,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
];

/// The same number everywhere; not every C library has heard of it.
const FCHMODAT2: c_long = 452;

/// Older ways to what is forbidden.
#[cfg(any(target_arch = "x86_64", target_arch = "arm"))]
const OLDER: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_setrlimit,
];
#[cfg(not(any(target_arch = "x86_64", target_arch = "arm")))]
const OLDER: &[c_long] = &[];

/// Only of one kind of processor.
#[cfg(target_arch = "x86_64")]
const OWN: &[c_long] =
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_utime, libc::SYS_kexec_file_load];
#[cfg(not(target_arch = "x86_64"))]
const OWN: &[c_long] = &[];

/// Restricts this process; false if the kernel cannot.
pub fn confine() -> bool {
    ARCH != 0 && nix::sys::prctl::set_no_new_privs().is_ok() && install(&program())
}

/// The filter: the numbers of forbidden calls one after another. The kernel remembers which calls
/// always pass, so its length costs those nothing.
fn program() -> Vec<sock_filter> {
    let mut program = vec![load(ARCHITECTURE), unless(ARCH, 1), refuse(libc::EPERM), load(NUMBER)];
    // Numbers from there on are of another kind of process.
    program.extend([at_least(X32), refuse(libc::EPERM)]);
    for call in FORBIDDEN.iter().chain(OLDER).chain(OWN) {
        program.extend([equal(*call, 1), refuse(libc::EPERM)]);
    }
    // Its flags are in memory, where a filter cannot look; C libraries then try `clone`.
    program.extend([equal(libc::SYS_clone3, 1), refuse(libc::ENOSYS)]);
    // Threads may be started, processes not.
    let is_thread = has_bits(libc::CLONE_THREAD.cast_unsigned());
    program.extend([equal(libc::SYS_clone, 4), load(argument(0)), is_thread]);
    program.extend([refuse(libc::EPERM), pass()]);
    // Limits may be read, not set.
    program.extend([equal(libc::SYS_prlimit64, 6), load(argument(2)), unless(0, 1)]);
    program.extend([refuse(libc::EPERM), load(argument(2) + 4), unless(0, 1)]);
    program.extend([refuse(libc::EPERM), pass()]);
    program
}

fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

/// Goes on behind the next `skipped` steps if `value` is what was loaded.
fn unless(value: u32, skipped: u8) -> sock_filter {
    jump(libc::BPF_JEQ, value, skipped, 0)
}

/// Goes on behind the next `skipped` steps unless `call` is what was loaded.
fn equal(call: c_long, skipped: u8) -> sock_filter {
    jump(libc::BPF_JEQ, u32::try_from(call).expect("numbers of calls are small"), 0, skipped)
}

/// Goes on behind the next step unless what was loaded is at least `value`.
fn at_least(value: u32) -> sock_filter {
    jump(libc::BPF_JGE, value, 0, 1)
}

/// Goes on behind the next step if what was loaded has one of `bits`.
fn has_bits(bits: u32) -> sock_filter {
    jump(libc::BPF_JSET, bits, 1, 0)
}

fn refuse(error: i32) -> sock_filter {
    give(libc::SECCOMP_RET_ERRNO | error.cast_unsigned())
}

fn pass() -> sock_filter {
    give(libc::SECCOMP_RET_ALLOW)
}

fn give(verdict: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, verdict)
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(test: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | test | libc::BPF_K) as u16, jt, jf, k }
}

/// For all threads. Filters may cost a process its guess at loads that follow stores, and speed
/// with it (`spec_store_bypass_disable=seccomp`, the default before Linux 5.16): nobody's secrets
/// are in it, so it keeps that where the kernel knows the flag (4.17).
fn install(program: &[sock_filter]) -> bool {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).expect("the filter is short"),
        filter: program.as_ptr().cast_mut(),
    };
    let flags = libc::SECCOMP_FILTER_FLAG_TSYNC;
    [flags | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW, flags].into_iter().any(|flags| {
        // SAFETY: the kernel reads `program` and the steps it points to, which live longer than
        // the call, and writes nothing.
        let status = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        };
        status == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_forbidden_twice_and_the_filter_fits() {
        let mut calls: Vec<_> = FORBIDDEN.iter().chain(OLDER).chain(OWN).copied().collect();
        let listed = calls.len();
        calls.sort_unstable();
        calls.dedup();
        assert_eq!(calls.len(), listed);
        assert!(program().len() < 4096, "what the kernel takes");
    }
}
