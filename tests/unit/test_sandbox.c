/* Each test forks: the child enters the sandbox and tries, the parent hears what went wrong. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>

#include "agent/sandbox/sandbox.h"
#include "common/store/store.h"

/* ---- the stage ------------------------------------------------------------------------------- */

/* folder/mine, may be written; folder/shown, may be read; folder/hidden: ledger.db, not given */
static char folder[64];
static char mine[96], shown[96], hidden[96];

static int listener = -1;
static struct sockaddr_in listener_at;

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int make_stage(void **state)
{
    (void)state;
    char path[128];
    (void)snprintf(folder, sizeof folder, "/tmp/wardround-sandbox.XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(mine, sizeof mine, "%s/mine", folder);
    (void)snprintf(shown, sizeof shown, "%s/shown", folder);
    (void)snprintf(hidden, sizeof hidden, "%s/hidden", folder);
    assert_int_equal(mkdir(mine, 0700), 0);
    assert_int_equal(mkdir(shown, 0700), 0);
    assert_int_equal(mkdir(hidden, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/cohort.yaml", shown);
    write_file(path, "cohort: x\n");
    (void)snprintf(path, sizeof path, "%s/ledger.db", hidden);
    write_file(path, "spent\n");

    socklen_t n = sizeof listener_at;
    listener_at =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&listener_at, n), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&listener_at, &n), 0);
    assert_int_equal(listen(listener, 4), 0);
    return 0;
}

static int strike_stage(void **state)
{
    (void)state;
    char command[128];
    (void)close(listener);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command); /* a folder of ours under /tmp */
}

/* What the child says; "" is well. Shared with it. */
struct answer {
    struct sandbox_state state;
    char text[200];
};

typedef void attempt(struct answer *a);

static void complain(struct answer *a, const char *what)
{
    const size_t used = strlen(a->text);
    (void)snprintf(a->text + used, sizeof a->text - used, "%s%s (%s)", used > 0 ? "; " : "", what,
                   strerror(errno));
}

/* @param before what the child does first, or NULL; @param network -1: does not enter itself */
static struct answer in_child(int network, attempt *before, attempt *try)
{
    struct answer *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    memset(shared, 0, sizeof *shared);
    (void)fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error err = {0};
        const struct sandbox_rules rules = {
            .n_read = 2,
            .read = {shown, "/nonexistent/file"},
            .n_write = 1,
            .write = {mine},
            .network = network == 1,
        };
        if (before != NULL) {
            before(shared);
        }
        if (network >= 0 && sandbox_enter(&rules, &shared->state, &err) != RC_OK) {
            errno = 0;
            complain(shared, err.text);
            _exit(1);
        }
        try(shared);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    const struct answer a = *shared;
    assert_int_equal(munmap(shared, sizeof *shared), 0);
    return a;
}

static void must_be_well(const struct answer *a)
{
    if (a->text[0] != '\0') {
        fail_msg("%s", a->text);
    }
}

/* Where this kernel has no Landlock, the state must say so, and there is no more to test. */
static void needs_landlock(const struct answer *a)
{
    if (!a->state.files) {
        assert_non_null(strstr(a->state.sentence, "files NOT restricted"));
        skip();
    }
}

static void needs_seccomp(const struct answer *a)
{
    if (!a->state.calls) {
        assert_non_null(strstr(a->state.sentence, "system calls NOT restricted"));
        skip();
    }
}

static void must_not_open(struct answer *a, const char *path, int flags)
{
    errno = 0;
    const int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0 || errno != EACCES) {
        complain(a, path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void must_open(struct answer *a, const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0 || close(fd) != 0) {
        complain(a, path);
    }
}

static void must_be_forbidden(struct answer *a, const char *what, long result)
{
    if (result != -1 || errno != EPERM) {
        complain(a, what);
    }
    errno = 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static void try_files(struct answer *a)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/ledger.db", hidden);
    must_not_open(a, path, O_RDONLY);
    must_not_open(a, path, O_WRONLY | O_TRUNC);
    must_not_open(a, hidden, O_RDONLY | O_DIRECTORY);
    if (truncate(path, 0) == 0 || unlink(path) == 0) {
        complain(a, "the ledger was cut or removed");
    }
    (void)snprintf(path, sizeof path, "%s/../hidden/ledger.db", mine);
    must_not_open(a, path, O_RDONLY);
    must_not_open(a, "/etc/passwd", O_RDONLY);
    must_not_open(a, "/proc/self/mem", O_RDWR);
    must_not_open(a, "/tmp/wardround-sandbox-outside", O_WRONLY | O_CREAT);
    (void)snprintf(path, sizeof path, "/proc/%d/mem", (int)getppid());
    must_not_open(a, path, O_RDONLY);

    (void)snprintf(path, sizeof path, "%s/cohort.yaml", shown);
    must_open(a, path, O_RDONLY);
    must_not_open(a, path, O_WRONLY);
    (void)snprintf(path, sizeof path, "%s/new", shown);
    must_not_open(a, path, O_WRONLY | O_CREAT);
}

/* A link out of the open folder leads to a closed door; links and devices are not made at all. */
static void try_links(struct answer *a)
{
    char target[160];
    char path[160];
    (void)snprintf(target, sizeof target, "%s/ledger.db", hidden);
    (void)snprintf(path, sizeof path, "%s/door", mine);
    if (symlink(target, path) == 0 || link(target, path) == 0 || mkfifo(path, 0600) == 0) {
        complain(a, "a link out of the folder was made");
    }
    (void)snprintf(path, sizeof path, "%s/old-door", mine);
    must_not_open(a, path, O_RDONLY);
}

static void the_folder_that_may_be_written_works(struct answer *a)
{
    char path[160];
    char other[160];
    (void)snprintf(path, sizeof path, "%s/a", mine);
    (void)snprintf(other, sizeof other, "%s/b", mine);
    must_open(a, path, O_RDWR | O_CREAT);
    must_open(a, path, O_RDWR | O_TRUNC);
    if (truncate(path, 0) != 0 || rename(path, other) != 0 || unlink(other) != 0) {
        complain(a, "work in its own folder");
    }
    (void)snprintf(path, sizeof path, "%s/d", mine);
    if (mkdir(path, 0700) != 0 || rmdir(path) != 0) {
        complain(a, "a folder in its own folder");
    }
}

static void only_the_given_files_open(void **state)
{
    (void)state;
    for (int network = 0; network < 2; network++) {
        const struct answer a = in_child(network, NULL, try_files);
        needs_landlock(&a);
        must_be_well(&a);
    }
}

static void a_link_leads_nowhere(void **state)
{
    (void)state;
    char target[160];
    char path[160];
    (void)snprintf(target, sizeof target, "%s/ledger.db", hidden);
    (void)snprintf(path, sizeof path, "%s/old-door", mine);
    assert_int_equal(symlink(target, path), 0);
    const struct answer a = in_child(0, NULL, try_links);
    needs_landlock(&a);
    must_be_well(&a);
}

static void its_own_folder_can_be_worked_in(void **state)
{
    (void)state;
    const struct answer a = in_child(0, NULL, the_folder_that_may_be_written_works);
    must_be_well(&a);
}

/* A rule may name one file; what is beside it stays shut. */
static void try_single_file(struct answer *a)
{
    char path[160];
    struct error err = {0};
    (void)snprintf(path, sizeof path, "%s/cohort.yaml", shown);
    const struct sandbox_rules rules = {.n_write = 1, .write = {path}};
    if (sandbox_enter(&rules, &a->state, &err) != RC_OK) {
        complain(a, err.text);
        return;
    }
    if (a->state.files) {
        must_open(a, path, O_RDWR);
        must_not_open(a, shown, O_RDONLY | O_DIRECTORY);
    }
}

static void a_rule_may_name_a_single_file(void **state)
{
    (void)state;
    const struct answer a = in_child(-1, NULL, try_single_file);
    needs_landlock(&a);
    must_be_well(&a);
}

static const char *const migration[] = {"CREATE TABLE t (x INTEGER NOT NULL) STRICT;"};
static const struct store_kind kind = {1234, "test", 1, migration};

static void use_sqlite(struct answer *a)
{
    char path[160];
    struct store *s = NULL;
    struct statement *st = NULL;
    struct error err = {0};
    (void)snprintf(path, sizeof path, "%s/ledger.db", mine);
    enum rc rc = store_open(path, &kind, &s, &err);
    if (rc == RC_OK) {
        rc = store_prepare(s, "INSERT INTO t VALUES (1)", &st, &err);
    }
    if (rc == RC_OK) {
        rc = store_begin(s, &err);
    }
    if (rc == RC_OK) {
        rc = statement_run(st, &err);
    }
    if (rc == RC_OK) {
        rc = store_commit(s, &err);
    }
    char wal[sizeof path + 4];
    (void)snprintf(wal, sizeof wal, "%s-wal", path);
    if (rc != RC_OK || access(wal, F_OK) != 0) {
        complain(a, rc != RC_OK ? err.text : "no write-ahead log");
    }
    store_close(&s); /* the last connection removes -wal and -shm */
    if (access(wal, F_OK) == 0) {
        complain(a, "the write-ahead log is still there");
    }
}

static void sqlite_works_in_its_own_folder(void **state)
{
    (void)state;
    const struct answer a = in_child(0, NULL, use_sqlite);
    must_be_well(&a);
}

/* ---- sockets --------------------------------------------------------------------------------- */

static int before_fds[2] = {-1, -1}, before_socket = -1;

static void open_before(struct answer *a)
{
    before_socket = socket(AF_INET, SOCK_STREAM, 0);
    if (before_socket < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, before_fds) != 0) {
        complain(a, "sockets before the sandbox");
    }
}

static void try_sockets(struct answer *a)
{
    static const int families[] = {AF_INET,   AF_INET6, AF_UNIX, AF_NETLINK,
                                   AF_PACKET, AF_VSOCK, AF_ALG};
    const struct sockaddr *at = (const struct sockaddr *)&listener_at;
    struct msghdr message = {0};
    int two[2];
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        must_be_forbidden(a, "socket", socket(families[i], SOCK_STREAM, 0));
        must_be_forbidden(a, "socket", socket(families[i], SOCK_DGRAM, 0));
    }
    must_be_forbidden(a, "socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, two));
    /* also with a socket from before */
    must_be_forbidden(a, "connect", connect(before_socket, at, sizeof listener_at));
    must_be_forbidden(a, "bind", bind(before_socket, at, sizeof listener_at));
    must_be_forbidden(a, "listen", listen(before_socket, 1));
    must_be_forbidden(a, "accept", accept(before_socket, NULL, NULL));
    must_be_forbidden(a, "accept4", accept4(before_socket, NULL, NULL, 0));
    /* descriptors travel in messages */
    must_be_forbidden(a, "sendmsg", sendmsg(before_fds[0], &message, 0));
    must_be_forbidden(a, "recvmsg", recvmsg(before_fds[0], &message, MSG_DONTWAIT));
}

static void without_network_no_socket_is_made_or_connected(void **state)
{
    (void)state;
    const struct answer a = in_child(0, open_before, try_sockets);
    needs_seccomp(&a);
    must_be_well(&a);
}

static void use_pair(struct answer *a)
{
    char byte = 0;
    struct pollfd p = {.fd = before_fds[1], .events = POLLIN};
    const bool well = send(before_fds[0], "x", 1, MSG_NOSIGNAL) == 1 && poll(&p, 1, 1000) == 1 &&
                      recv(before_fds[1], &byte, 1, 0) == 1 && byte == 'x' &&
                      write(before_fds[1], "y", 1) == 1 && read(before_fds[0], &byte, 1) == 1 &&
                      byte == 'y';
    if (!well) {
        complain(a, "the pair");
    }
}

static void a_socket_pair_from_before_works_on(void **state)
{
    (void)state;
    const struct answer a = in_child(0, open_before, use_pair);
    must_be_well(&a);
}

static void use_network(struct answer *a)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const int answer = getaddrinfo("localhost", "7100", &hints, &found);
    if (answer != 0) {
        complain(a, gai_strerror(answer));
    } else {
        freeaddrinfo(found);
    }
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&listener_at, sizeof listener_at) != 0 ||
        send(fd, "x", 1, MSG_NOSIGNAL) != 1) {
        complain(a, "the loopback listener");
    }
}

static void try_other_sockets(struct answer *a)
{
    int two[2];
    must_be_forbidden(a, "unix", socket(AF_UNIX, SOCK_STREAM, 0));
    must_be_forbidden(a, "packet", socket(AF_PACKET, SOCK_RAW, 0));
    must_be_forbidden(a, "vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    must_be_forbidden(a, "audit", socket(AF_NETLINK, SOCK_RAW, 9));
    must_be_forbidden(a, "family 2^32 + 1",
                      syscall(SYS_socket, (INT64_C(1) << 32) + AF_UNIX, SOCK_STREAM, 0));
    must_be_forbidden(a, "socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, two));
    must_be_forbidden(a, "listen", listen(before_socket, 1));
}

static void with_network_names_are_found_and_hosts_reached(void **state)
{
    (void)state;
    const struct answer a = in_child(1, NULL, use_network);
    must_be_well(&a);
    char byte = 0;
    const int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(recv(fd, &byte, 1, 0), 1);
    assert_int_equal(byte, 'x');
    (void)close(fd);
}

static void with_network_only_the_internet_is_reached(void **state)
{
    (void)state;
    const struct answer a = in_child(1, open_before, try_other_sockets);
    needs_seccomp(&a);
    must_be_well(&a);
}

/* ---- other processes and programs ------------------------------------------------------------ */

static void try_processes(struct answer *a)
{
    char byte = 0;
    struct iovec here = {&byte, 1};
    struct iovec there = {&folder, 1}; /* the same address in the parent */
    const pid_t parent = getppid();
    must_be_forbidden(a, "ptrace", ptrace(PTRACE_ATTACH, parent, NULL, NULL));
    must_be_forbidden(a, "process_vm_readv", process_vm_readv(parent, &here, 1, &there, 1, 0));
    must_be_forbidden(a, "process_vm_writev", process_vm_writev(parent, &here, 1, &there, 1, 0));
    must_be_forbidden(a, "pidfd_open", syscall(SYS_pidfd_open, parent, 0));
    must_be_forbidden(a, "pidfd_getfd", syscall(SYS_pidfd_getfd, 0, 0, 0));
    must_be_forbidden(a, "kill", kill(parent, 0));
    must_be_forbidden(a, "kill of its group", kill(0, 0));
    must_be_forbidden(a, "tgkill", syscall(SYS_tgkill, parent, parent, 0));
    must_be_forbidden(a, "dumpable", prctl(PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL));
    if (kill(getpid(), 0) != 0) {
        complain(a, "a signal to itself");
    }
}

static void try_programs(struct answer *a)
{
    char name[] = "true";
    char *const argv[] = {name, NULL};
    must_be_forbidden(a, "execve", execv("/bin/true", argv));
    must_be_forbidden(a, "execveat", syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, NULL, 0));
    const pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    must_be_forbidden(a, "fork", child);
    must_be_forbidden(a, "clone", syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0));
    if (syscall(SYS_clone3, NULL, 0) != -1 || errno != ENOSYS) {
        complain(a, "clone3");
    }
}

static void try_kernel(struct answer *a)
{
    static const struct {
        const char *name;
        long number;
    } calls[] = {
        {"mount", SYS_mount},
        {"umount2", SYS_umount2},
        {"setns", SYS_setns},
        {"unshare", SYS_unshare},
        {"chroot", SYS_chroot},
        {"pivot_root", SYS_pivot_root},
        {"fsopen", SYS_fsopen},
        {"open_tree", SYS_open_tree},
        {"move_mount", SYS_move_mount},
        {"bpf", SYS_bpf},
        {"perf_event_open", SYS_perf_event_open},
        {"io_uring_setup", SYS_io_uring_setup},
        {"io_uring_enter", SYS_io_uring_enter},
        {"io_uring_register", SYS_io_uring_register},
        {"userfaultfd", SYS_userfaultfd},
        {"keyctl", SYS_keyctl},
        {"add_key", SYS_add_key},
        {"request_key", SYS_request_key},
        {"kexec_load", SYS_kexec_load},
        {"kexec_file_load", SYS_kexec_file_load},
        {"init_module", SYS_init_module},
        {"finit_module", SYS_finit_module},
        {"delete_module", SYS_delete_module},
        {"open_by_handle_at", SYS_open_by_handle_at},
        {"clock_settime", SYS_clock_settime},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        must_be_forbidden(a, calls[i].name, syscall(calls[i].number, -1L, 0L, 0L, 0L, 0L, 0L));
    }
}

static void no_program_and_no_process_is_started(void **state)
{
    (void)state;
    for (int network = 0; network < 2; network++) {
        const struct answer a = in_child(network, NULL, try_programs);
        needs_seccomp(&a);
        must_be_well(&a);
    }
}

static void the_kernels_machinery_is_out_of_reach(void **state)
{
    (void)state;
    for (int network = 0; network < 2; network++) {
        const struct answer a = in_child(network, NULL, try_kernel);
        needs_seccomp(&a);
        must_be_well(&a);
    }
}

static void *thread(void *in)
{
    *(int *)in = 7;
    return NULL;
}

static void use_threads(struct answer *a)
{
    pthread_t t;
    int x = 0;
    const int answer = pthread_create(&t, NULL, thread, &x);
    if (answer != 0 || pthread_join(t, NULL) != 0 || x != 7) {
        errno = answer;
        complain(a, "a thread");
    }
}

static void threads_start(void **state)
{
    (void)state;
    for (int network = 0; network < 2; network++) {
        const struct answer a = in_child(network, NULL, use_threads);
        must_be_well(&a);
    }
}

/* ---- what is said ---------------------------------------------------------------------------- */

static void refuse_call(int call, int with)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL || seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)with), call, 0) != 0 ||
        seccomp_load(filter) != 0) {
        _exit(9);
    }
    seccomp_release(filter);
}

static void lose_landlock(struct answer *a)
{
    (void)a;
    refuse_call(SCMP_SYS(landlock_create_ruleset), ENOSYS);
}

/* By seccomp alone, too: newer Landlocks refuse some of it themselves. */
static void no_other_process_is_reached(void **state)
{
    (void)state;
    const struct answer a = in_child(0, NULL, try_processes);
    needs_seccomp(&a);
    must_be_well(&a);
    const struct answer b = in_child(0, lose_landlock, try_processes);
    must_be_well(&b);
}

static void lock_the_lock(struct answer *a)
{
    (void)a;
    refuse_call(SCMP_SYS(landlock_restrict_self), EPERM);
}

static void nothing(struct answer *a)
{
    (void)a;
}

static void the_sentence_names_both_mechanisms(void **state)
{
    (void)state;
    const struct answer a = in_child(0, NULL, nothing);
    needs_landlock(&a);
    needs_seccomp(&a);
    assert_non_null(strstr(a.state.sentence, "files by Landlock (ABI "));
    assert_non_null(strstr(a.state.sentence, "system calls by seccomp"));
}

static void a_kernel_without_landlock_is_said_and_calls_are_still_restricted(void **state)
{
    (void)state;
    const struct answer a = in_child(0, lose_landlock, try_programs);
    must_be_well(&a);
    assert_false(a.state.files);
    assert_true(a.state.calls);
    assert_non_null(strstr(a.state.sentence, "files NOT restricted"));
}

static void a_kernel_that_refuses_stops_the_program(void **state)
{
    (void)state;
    const struct answer plain = in_child(0, NULL, nothing);
    needs_landlock(&plain);
    const struct answer a = in_child(0, lock_the_lock, nothing);
    assert_non_null(strstr(a.text, "Landlock refuses"));
    assert_false(a.state.calls);
}

/* ---- hardening ------------------------------------------------------------------------------- */

static void look_hard(struct answer *a)
{
    struct error err = {0};
    struct rlimit core = {1, 1};
    char path[160];
    struct stat st = {0};
    if (sandbox_harden(false, &err) != RC_OK) {
        complain(a, err.text);
    }
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0) {
        complain(a, "core dumps");
    }
    if (prctl(PR_GET_DUMPABLE, 0UL, 0UL, 0UL, 0UL) != 0) {
        complain(a, "traceable");
    }
    if (prctl(PR_GET_NO_NEW_PRIVS, 0UL, 0UL, 0UL, 0UL) != 1) {
        complain(a, "new privileges");
    }
    (void)snprintf(path, sizeof path, "%s/private", mine);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || fstat(fd, &st) != 0 || (st.st_mode & 0777) != 0600) {
        complain(a, "a new file is not private");
    }
}

static void a_hardened_process_leaves_nothing_behind(void **state)
{
    (void)state;
    const struct answer a = in_child(-1, NULL, look_hard);
    must_be_well(&a);
}

/* The grandchild holds the pipe's end open until it dies. */
static void a_hardened_process_dies_with_its_parent(void **state)
{
    (void)state;
    int ends[2];
    char byte = 0;
    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        if (fork() == 0) {
            struct error err = {0};
            if (sandbox_harden(true, &err) == RC_OK && write(ends[1], "r", 1) == 1) {
                (void)poll(NULL, 0, 15000);
            }
            _exit(0);
        }
        (void)pause();
        _exit(0);
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1); /* it is hard now */
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    struct pollfd p = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(read(ends[0], &byte, 1), 0); /* nobody holds the other end any more */
    (void)close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_given_files_open),
        cmocka_unit_test(a_link_leads_nowhere),
        cmocka_unit_test(its_own_folder_can_be_worked_in),
        cmocka_unit_test(a_rule_may_name_a_single_file),
        cmocka_unit_test(sqlite_works_in_its_own_folder),
        cmocka_unit_test(without_network_no_socket_is_made_or_connected),
        cmocka_unit_test(a_socket_pair_from_before_works_on),
        cmocka_unit_test(with_network_names_are_found_and_hosts_reached),
        cmocka_unit_test(with_network_only_the_internet_is_reached),
        cmocka_unit_test(no_other_process_is_reached),
        cmocka_unit_test(no_program_and_no_process_is_started),
        cmocka_unit_test(the_kernels_machinery_is_out_of_reach),
        cmocka_unit_test(threads_start),
        cmocka_unit_test(the_sentence_names_both_mechanisms),
        cmocka_unit_test(a_kernel_without_landlock_is_said_and_calls_are_still_restricted),
        cmocka_unit_test(a_kernel_that_refuses_stops_the_program),
        cmocka_unit_test(a_hardened_process_leaves_nothing_behind),
        cmocka_unit_test(a_hardened_process_dies_with_its_parent),
    };
    return cmocka_run_group_tests(tests, make_stage, strike_stage);
}
