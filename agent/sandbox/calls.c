/*
 * Seccomp: everything is allowed but what is listed. What is listed fails with EPERM, so that a
 * library that only tries something goes on without it. A list of what is allowed would be
 * tighter, and would break with the next libc or libzmq; what the list must hold is what leads out:
 * other processes, other programs, sockets, and the kernel's own machinery.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* CLONE_THREAD */
#endif
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sched.h>
#include <seccomp.h>

#include "agent/sandbox/sandbox_internal.h"

static const int nobody[] = {
    /* other processes */
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(kcmp),
    SCMP_SYS(tkill),
    SCMP_SYS(rt_sigqueueinfo),
    SCMP_SYS(rt_tgsigqueueinfo),
    /* other programs; clone is below */
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    /* files by other ways than their paths */
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(open_tree),
    SCMP_SYS(move_mount),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(quotactl),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    /* calls that no filter sees */
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    /* the kernel's machinery */
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(reboot),
    SCMP_SYS(syslog),
    SCMP_SYS(personality),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(clock_settime),
    SCMP_SYS(settimeofday),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    /* nobody here is a server */
    SCMP_SYS(socketpair),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
};

/* Messages carry descriptors, too: the network's process must not hand its sockets on. */
static const int without_network[] = {
    SCMP_SYS(socket),  SCMP_SYS(connect),  SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg),
};

static RC refused(const char *what, int answer, struct error *err)
{
    return error_set(err, RC_IO, "seccomp refuses %s: %s", what, strerror(-answer));
}

static int deny(scmp_filter_ctx filter, const int *call, size_t n)
{
    int answer = 0;
    for (size_t i = 0; answer == 0 && i < n; i++) {
        answer = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call[i], 0);
    }
    return answer;
}

static int deny_if(scmp_filter_ctx filter, int call, struct scmp_arg_cmp only)
{
    return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), call, 1, &only);
}

static struct scmp_arg_cmp compare(unsigned arg, enum scmp_compare op, uint64_t a, uint64_t b)
{
    return (struct scmp_arg_cmp){.arg = arg, .op = op, .datum_a = a, .datum_b = b};
}

/* Threads may start, processes may not; clone3 keeps its flags where no filter can look, and libc
 * falls back to clone where it is missing. */
static int deny_processes(scmp_filter_ctx filter)
{
    int answer =
        deny_if(filter, SCMP_SYS(clone), compare(0, SCMP_CMP_MASKED_EQ, (uint64_t)CLONE_THREAD, 0));
    if (answer == 0) {
        answer = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    }
    return answer;
}

/* abort and threads signal this process; nothing here signals another. */
static int deny_reaching_out(scmp_filter_ctx filter)
{
    const uint64_t self = (uint64_t)getpid();
    int answer = deny_if(filter, SCMP_SYS(kill), compare(0, SCMP_CMP_NE, self, 0));
    if (answer == 0) {
        answer = deny_if(filter, SCMP_SYS(tgkill), compare(0, SCMP_CMP_NE, self, 0));
    }
    if (answer == 0) { /* another's limits */
        answer = deny_if(filter, SCMP_SYS(prlimit64), compare(0, SCMP_CMP_NE, 0, 0));
    }
    if (answer == 0) { /* to be traceable again */
        answer = deny_if(filter, SCMP_SYS(prctl),
                         compare(0, SCMP_CMP_MASKED_EQ, UINT32_MAX, PR_SET_DUMPABLE));
    }
    if (answer == 0) { /* typing into the terminal that started us */
        answer =
            deny_if(filter, SCMP_SYS(ioctl), compare(1, SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCSTI));
    }
    if (answer == 0) {
        answer =
            deny_if(filter, SCMP_SYS(ioctl), compare(1, SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCLINUX));
    }
    return answer;
}

/* Internet sockets, and the kernel's list of addresses that looking up names asks for. A UNIX
 * socket would reach services of this machine. Filters compare one argument once a rule, hence a
 * rule a family. */
static int deny_other_families(scmp_filter_ctx filter)
{
    int answer = deny_if(filter, SCMP_SYS(socket), compare(0, SCMP_CMP_GE, AF_MAX, 0));
    for (uint64_t family = 0; answer == 0 && family < AF_MAX; family++) {
        if (family == AF_NETLINK) {
            const struct scmp_arg_cmp other[2] = {compare(0, SCMP_CMP_EQ, family, 0),
                                                  compare(2, SCMP_CMP_NE, 0, 0)};
            answer =
                seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 2, other);
        } else if (family != AF_INET && family != AF_INET6) {
            answer = deny_if(filter, SCMP_SYS(socket), compare(0, SCMP_CMP_EQ, family, 0));
        }
    }
    return answer;
}

static int fill(scmp_filter_ctx filter, bool network)
{
    int answer = deny(filter, nobody, sizeof nobody / sizeof nobody[0]);
    if (answer == 0) {
        answer = deny_processes(filter);
    }
    if (answer == 0) {
        answer = deny_reaching_out(filter);
    }
    if (answer == 0) {
        answer = network ? deny_other_families(filter)
                         : deny(filter, without_network,
                                sizeof without_network / sizeof without_network[0]);
    }
    return answer;
}

enum rc sandbox_restrict_calls(bool network, bool *there, struct error *err)
{
    if (prctl(PR_GET_SECCOMP, 0UL, 0UL, 0UL, 0UL) < 0 && errno == EINVAL) {
        *there = false;
        return RC_OK;
    }
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL) {
        return error_set(err, RC_NOMEM, "no memory for a seccomp filter");
    }
    enum rc rc = RC_OK;
    int answer = fill(filter, network);
    if (answer != 0) {
        rc = refused("a rule", answer, err);
    } else {
        answer = seccomp_load(filter);
        if (answer != 0) {
            rc = refused("the filter", answer, err);
        }
    }
    seccomp_release(filter);
    *there = rc == RC_OK;
    return rc;
}
