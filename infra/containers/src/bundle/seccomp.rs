//! Which system calls a container may make.
//!
//! An allow-list, so that calls of future kernels stay closed until someone has looked at them. Two answers for
//! the rest: calls that programs expect to be refused get `EPERM`; everything unknown gets `ENOSYS`, on which
//! libc falls back to the older call (`clone3` to `clone`, whose flags can be checked).
//!
//! Only the machine's own architecture is allowed: a 32-bit program is killed at its first call. That also
//! closes the second, less tested call table of the kernel.

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

const FILES: &str = "access chdir chmod chown close close_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 \
    fallocate fchdir fchmod fchmodat fchown fchownat fcntl fdatasync fgetxattr flistxattr flock \
    fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr \
    inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr \
     llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat newfstatat open openat \
    openat2 readahead readlink readlinkat removexattr rename renameat renameat2 rmdir setxattr \
     stat statfs statx symlink symlinkat sync sync_file_range syncfs truncate umask unlink unlinkat \
    utime utimensat utimes";

const DATA: &str = "copy_file_range eventfd eventfd2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read \
    readv sendfile splice tee vmsplice write writev";

const WAITING: &str = "epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait poll ppoll pselect6 \
    select io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit";

const MEMORY: &str = "brk get_mempolicy madvise membarrier memfd_create mincore mlock mlock2 \
    mlockall mmap mprotect mremap msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect \
    process_mrelease remap_file_pages memfd_secret";

const PROCESSES: &str = "arch_prctl capget capset execve execveat exit exit_group fork get_robust_list \
    get_thread_area getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority getresgid getresuid \
    getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set kill pidfd_open pidfd_send_signal \
    prctl prlimit64 process_vm_readv process_vm_writev ptrace rseq sched_get_priority_max sched_get_priority_min \
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity \
    sched_setattr sched_setparam sched_setscheduler sched_yield seccomp set_robust_list set_thread_area \
    set_tid_address setfsgid setfsuid setgid setgroups setpgid setpriority setregid setresgid setresuid setreuid \
    setrlimit setsid setuid tgkill tkill vfork wait4 waitid landlock_add_rule landlock_create_ruleset \
    landlock_restrict_self";

const SIGNALS: &str = "pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn \
    rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack signalfd signalfd4";

const TIME: &str = "adjtimex alarm clock_adjtime clock_getres clock_gettime clock_nanosleep getitimer gettimeofday \
    nanosleep setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create \
    timerfd_gettime timerfd_settime times";

const SOCKETS: &str = "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg \
    recvmsg sendmmsg sendmsg sendto setsockopt shutdown socketpair";

const BETWEEN_PROCESSES: &str = "futex futex_waitv mq_getsetattr mq_notify \
    mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop \
    shmat shmctl shmdt shmget";

const MACHINE: &str = "getcpu getrandom sysinfo uname";

/// Needs a privilege that no container has, or opens a part of the kernel that has often been broken.
const REFUSED: &str = "kcmp pidfd_getfd acct add_key bpf chroot clock_settime create_module delete_module fanotify_init finit_module \
    fsconfig fsmount fsopen fspick get_kernel_syms init_module ioperm iopl kexec_file_load kexec_load keyctl \
    lookup_dcookie mbind migrate_pages mount mount_setattr move_mount move_pages name_to_handle_at nfsservctl \
    open_by_handle_at open_tree perf_event_open pivot_root process_madvise query_module quotactl quotactl_fd reboot \
    request_key set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday swapoff swapon \
    syslog umount2 unshare uselib userfaultfd ustat vhangup";

/// `clone` flags from here on make namespaces: CLONE_NEWCGROUP is the lowest of them in `linux/sched.h`, and what
/// lies above is not used by programs. CLONE_NEWNS lies below, but the kernel itself refuses it to a process
/// without CAP_SYS_ADMIN. A bound and not a mask, because libcontainer 0.7 and runc read the two values of a masked
/// comparison in opposite ways: one of them would let everything through.
const FIRST_NAMESPACE_FLAG: u64 = 0x0200_0000;

/// AF_UNIX, AF_INET, AF_NETLINK and AF_INET6: what programs use. The rest loads kernel modules of mixed quality.
const ADDRESS_FAMILIES: [u64; 4] = [1, 2, 16, 10];

/// PER_LINUX, PER_LINUX32, UNAME26, both, and the question what it is now.
const PERSONALITIES: [u64; 5] = [0, 8, 0x0002_0000, 0x0002_0008, 0xffff_ffff];

pub(crate) fn profile() -> Result<LinuxSeccomp, OciSpecError> {
    let allowed =
        [FILES, DATA, WAITING, MEMORY, PROCESSES, SIGNALS, TIME, SOCKETS, BETWEEN_PROCESSES, MACHINE];
    let names = allowed.iter().flat_map(|group| group.split_whitespace()).filter(|name| exists_here(name));
    let mut rules = vec![allow(names, None)?];
    let without_namespaces = argument(0, FIRST_NAMESPACE_FLAG, LinuxSeccompOperator::ScmpCmpLt)?;
    rules.push(allow(["clone"], Some(without_namespaces))?);
    for (name, values) in [("socket", ADDRESS_FAMILIES.as_slice()), ("personality", &PERSONALITIES)] {
        for &value in values {
            rules.push(allow([name], Some(argument(0, value, LinuxSeccompOperator::ScmpCmpEq)?))?);
        }
    }
    let refused = REFUSED.split_whitespace().filter(|name| exists_here(name)).map(str::to_owned);
    rules.push(
        LinuxSyscallBuilder::default()
            .names(refused.collect::<Vec<_>>())
            .action(LinuxSeccompAction::ScmpActErrno)
            .errno_ret(EPERM)
            .build()?,
    );
    LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(ENOSYS)
        .architectures(vec![own_arch()])
        .syscalls(rules)
        .build()
}

fn allow<'a>(
    names: impl IntoIterator<Item = &'a str>,
    argument: Option<LinuxSeccompArg>,
) -> Result<LinuxSyscall, OciSpecError> {
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let rule = LinuxSyscallBuilder::default().names(names).action(LinuxSeccompAction::ScmpActAllow);
    match argument {
        Some(argument) => rule.args(vec![argument]).build(),
        None => rule.build(),
    }
}

fn argument(index: usize, value: u64, op: LinuxSeccompOperator) -> Result<LinuxSeccompArg, OciSpecError> {
    LinuxSeccompArgBuilder::default().index(index).value(value).op(op).build()
}

const fn own_arch() -> Arch {
    if cfg!(target_arch = "aarch64") { Arch::ScmpArchAarch64 } else { Arch::ScmpArchX86_64 }
}

/// Calls of the first decades that arm64 never got; naming them there would only fill the log.
fn exists_here(name: &str) -> bool {
    const OLD: &str = "access alarm arch_prctl chmod chown creat dup2 epoll_create epoll_wait eventfd fork futimesat \
        getdents getpgrp inotify_init ioperm iopl lchown link lstat mkdir mknod open pause pipe poll readlink rename \
        rmdir select set_thread_area get_thread_area signalfd stat symlink time unlink uselib ustat utime utimes \
        vfork create_module get_kernel_syms query_module";
    cfg!(target_arch = "x86_64") || !OLD.split_whitespace().any(|old| old == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_both_allowed_and_refused() {
        let profile = profile().unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for rule in profile.syscalls().as_ref().unwrap() {
            for name in rule.names() {
                assert!(seen.insert(name.clone()) || rule.args().is_some(), "{name} stands twice");
            }
        }
        for dangerous in
            ["mount", "bpf", "keyctl", "unshare", "setns", "io_uring_setup", "clone3", "userfaultfd"]
        {
            let rules = profile.syscalls().as_ref().unwrap();
            let is_allowed = rules.iter().any(|rule| {
                rule.action() == LinuxSeccompAction::ScmpActAllow
                    && rule.names().iter().any(|name| name == dangerous)
            });
            assert!(!is_allowed, "{dangerous}");
        }
    }
}
