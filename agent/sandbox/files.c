/*
 * Landlock, by its three system calls: Debian 12 has no wrappers, and its header ends at Linux 6.2.
 * What was added later is spelled out below and asked for only where the kernel says it knows it
 * (man 7 landlock; Documentation/userspace-api/landlock.rst, "Previous limitations").
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_PATH, syscall */
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/landlock.h>

#include "agent/sandbox/sandbox_internal.h"

#define ACCESS_FS_REFER     (UINT64_C(1) << 13) /* ABI 2, Linux 5.19 */
#define ACCESS_FS_TRUNCATE  (UINT64_C(1) << 14) /* ABI 3, Linux 6.2 */
#define ACCESS_FS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5, Linux 6.10 */
#define ACCESS_NET_BIND     (UINT64_C(1) << 0)  /* ABI 4, Linux 6.7: TCP */
#define ACCESS_NET_CONNECT  (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT      (UINT64_C(1) << 0) /* ABI 6, Linux 6.12: abstract UNIX sockets */
#define SCOPE_SIGNAL        (UINT64_C(1) << 1) /* signals to processes outside */

/* struct landlock_ruleset_attr as of ABI 6; an older kernel is given its beginning only. */
struct ruleset {
    uint64_t fs, net, scoped;
};

#define RIGHTS_READ ((uint64_t)(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR))
#define RIGHTS_WRITE                                                                              \
    (RIGHTS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | \
     ACCESS_FS_REFER | ACCESS_FS_TRUNCATE)
/* What a rule about a file, not a folder, may hold. */
#define RIGHTS_OF_FILE \
    ((uint64_t)(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE) | ACCESS_FS_TRUNCATE)

/* Random numbers for SQLite, and nowhere; and what names of hosts are looked up with. */
static const char *const everybody_reads[] = {"/dev/urandom", "/dev/null"};
static const char *const network_reads[] = {"/etc/hosts",
                                            "/etc/host.conf",
                                            "/etc/resolv.conf",
                                            "/etc/nsswitch.conf",
                                            "/etc/gai.conf",
                                            "/etc/ld.so.cache",
                                            "/etc/services",
                                            "/run/systemd/resolve",
                                            "/usr/lib",
                                            "/lib",
                                            "/lib64"};

static RC refused(const char *what, struct error *err)
{
    return error_set(err, RC_IO, "Landlock refuses %s: %s", what, strerror(errno));
}

static uint64_t known_rights(int abi)
{
    uint64_t fs = (UINT64_C(1) << 13) - 1;
    fs |= abi >= 2 ? ACCESS_FS_REFER : 0;
    fs |= abi >= 3 ? ACCESS_FS_TRUNCATE : 0;
    fs |= abi >= 5 ? ACCESS_FS_IOCTL_DEV : 0;
    return fs;
}

static RC ask_abi(int *abi, struct error *err)
{
    const long answer =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    if (answer < 0 && errno != ENOSYS && errno != EOPNOTSUPP) {
        return refused("to say its version", err);
    }
    *abi = answer > 0 ? (int)answer : 0;
    return RC_OK;
}

static RC make_ruleset(int abi, bool network, int *out, struct error *err)
{
    struct ruleset r = {.fs = known_rights(abi)};
    size_t n = sizeof r.fs;
    if (abi >= 4) {
        r.net = network ? 0 : ACCESS_NET_BIND | ACCESS_NET_CONNECT;
        n += sizeof r.net;
    }
    if (abi >= 6) {
        r.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
        n += sizeof r.scoped;
    }
    const long fd = syscall(SYS_landlock_create_ruleset, &r, n, 0U);
    if (fd < 0) {
        return refused("a rule set", err);
    }
    *out = (int)fd;
    return RC_OK;
}

/* @param must the caller's own path: only its absence is forgiven */
static RC add_path(int ruleset, const char *path, uint64_t rights, bool must, struct error *err)
{
    enum rc rc = RC_OK;
    struct stat st;
    const int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        const bool forgiven = !must || errno == ENOENT || errno == ENOTDIR;
        return forgiven ? RC_OK
                        : error_set(err, RC_IO, "cannot open '%s': %s", path, strerror(errno));
    }
    if (fstat(fd, &st) != 0) {
        rc = error_set(err, RC_IO, "cannot look at '%s': %s", path, strerror(errno));
    } else {
        const struct landlock_path_beneath_attr rule = {
            .allowed_access = S_ISDIR(st.st_mode) ? rights : rights & RIGHTS_OF_FILE,
            .parent_fd = fd,
        };
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) != 0) {
            rc = error_set(err, RC_IO, "Landlock refuses a rule for '%s': %s", path,
                           strerror(errno));
        }
    }
    (void)close(fd);
    return rc;
}

static RC add_paths(int ruleset, const char *const *path, size_t n, uint64_t rights, bool must,
                    struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        rc = add_path(ruleset, path[i], rights, must, err);
    }
    return rc;
}

static RC add_all(int ruleset, const struct sandbox_rules *rules, int abi, struct error *err)
{
    const uint64_t known = known_rights(abi);
    enum rc rc = add_paths(ruleset, rules->read, rules->n_read, RIGHTS_READ & known, true, err);
    if (rc == RC_OK) {
        rc = add_paths(ruleset, rules->write, rules->n_write, RIGHTS_WRITE & known, true, err);
    }
    if (rc == RC_OK) {
        rc = add_paths(ruleset, everybody_reads, sizeof everybody_reads / sizeof everybody_reads[0],
                       RIGHTS_READ & known, false, err);
    }
    if (rc == RC_OK && rules->network) {
        rc = add_paths(ruleset, network_reads, sizeof network_reads / sizeof network_reads[0],
                       RIGHTS_READ & known, false, err);
    }
    return rc;
}

enum rc sandbox_restrict_files(const struct sandbox_rules *rules, int *abi, struct error *err)
{
    int ruleset = -1;
    enum rc rc = ask_abi(abi, err);
    if (rc != RC_OK || *abi == 0) {
        return rc;
    }
    rc = make_ruleset(*abi, rules->network, &ruleset, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = add_all(ruleset, rules, *abi, err);
    if (rc == RC_OK && syscall(SYS_landlock_restrict_self, ruleset, 0U) != 0) {
        rc = refused("to close the door", err);
    }
    (void)close(ruleset);
    return rc;
}
