/* A disk that fails on demand, for tests: preloaded, it stands between a process and what writes to one folder.
 *
 * Only operations on files below the armed folder count. The state lies in a file that every process maps, so that the
 * processes a process starts share its count and its fault.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { FAIL, HALF, KILL };

struct state {
    atomic_int armed;
    atomic_long counted; /* operations since the library was armed */
    atomic_long failed;  /* those of them that were made to fail or cut short */
    long fail_at;        /* the operation that fails; 0 for none */
    int error;
    int kind;
    int limited;         /* whether there is a budget */
    atomic_long left;    /* bytes that still have room */
    char folder[PATH_MAX];
};

/* What becomes of an operation: how many of its bytes pass, and the error it ends in. */
struct ruling {
    size_t bytes;
    int error;
    int kills;
    int limited;
};

static struct state *state;

__attribute__((constructor)) static void map_state(void) {
    const char *file = getenv("FAULTY_DISK_STATE");
    int descriptor = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
    if (descriptor < 0)
        return;
    void *there = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (there != MAP_FAILED)
        state = there;
    close(descriptor);
}

/* ---- for the tests, by ctypes */

size_t faulty_disk_state_size(void) { return sizeof(struct state); }

static void start(const char *folder, long n, int error, int kind, int limited, long bytes) {
    atomic_store(&state->armed, 0);
    snprintf(state->folder, sizeof state->folder, "%s/", folder);
    atomic_store(&state->counted, 0);
    atomic_store(&state->failed, 0);
    state->fail_at = n;
    state->error = error;
    state->kind = kind;
    state->limited = limited;
    atomic_store(&state->left, bytes);
    atomic_store(&state->armed, 1);
}

int faulty_disk_ready(void) { return state != NULL; }
void faulty_disk_arm(const char *folder, long n, int error, int kind) { start(folder, n, error, kind, 0, 0); }
void faulty_disk_budget(const char *folder, long bytes) { start(folder, 0, 0, FAIL, 1, bytes); }
void faulty_disk_disarm(void) { atomic_store(&state->armed, 0); }
long faulty_disk_count(void) { return atomic_load(&state->counted); }
long faulty_disk_failed(void) { return atomic_load(&state->failed); }

/* ---- what counts */

static int is_armed(void) { return state && atomic_load(&state->armed); }

static int is_below(const char *path) {
    size_t length = strlen(state->folder);
    return !strncmp(path, state->folder, length);
}

static int counts(int descriptor) {
    char link[64], path[PATH_MAX];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = is_armed() ? readlink(link, path, sizeof path - 1) : -1;
    errno = before;
    if (length < 0)
        return 0;
    path[length] = 0;
    return is_below(path);
}

/* A path counts if its folder, with every link followed, is the armed one or below it. */
static int counts_path(int at, const char *path) {
    char whole[2 * PATH_MAX], real[PATH_MAX + 2], link[64];
    if (!is_armed())
        return 0;
    int before = errno, found = 0;
    ssize_t length = 0;
    if (path[0] != '/') {
        snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
        length = readlink(link, whole, PATH_MAX);
    }
    if (length >= 0) {
        snprintf(whole + length, sizeof whole - length, "/%s", path);
        char *last = strrchr(whole, '/');
        *last = 0;
        if (realpath(*whole ? whole : "/", real)) {
            strcat(real, "/");
            found = is_below(real);
        }
    }
    errno = before;
    return found;
}

static struct ruling judge(int is_counted, size_t bytes) {
    struct ruling ruling = {bytes, 0, 0, 0};
    if (!is_counted)
        return ruling;
    if (atomic_fetch_add(&state->counted, 1) + 1 == state->fail_at) {
        atomic_fetch_add(&state->failed, 1);
        ruling.bytes = state->kind == FAIL ? 0 : bytes / 2;
        ruling.error = state->error;
        ruling.kills = state->kind == KILL;
    } else if (state->limited && bytes) {
        long left = atomic_load(&state->left), taken;
        do
            taken = left < (long)bytes ? left : (long)bytes;
        while (!atomic_compare_exchange_weak(&state->left, &left, left - taken));
        if (taken < (long)bytes)
            atomic_fetch_add(&state->failed, 1);
        ruling.bytes = taken;
        ruling.error = taken ? 0 : ENOSPC;
        ruling.limited = 1;
    }
    return ruling;
}

static ssize_t settle(struct ruling ruling, ssize_t done) {
    if (ruling.kills)
        kill(getpid(), SIGKILL);
    if (ruling.error) {
        errno = ruling.error;
        return -1;
    }
    if (ruling.limited)
        atomic_fetch_add(&state->left, (long)ruling.bytes - (done > 0 ? done : 0));
    return done;
}

/* ---- the operations */

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define WRITES(ruling, call) return settle(ruling, (ruling).error && !(ruling).bytes ? 0 : (call))

ssize_t write(int file, const void *buffer, size_t size) {
    REAL(write);
    struct ruling ruling = judge(counts(file), size);
    WRITES(ruling, real(file, buffer, ruling.bytes));
}

ssize_t pwrite(int file, const void *buffer, size_t size, off_t start) {
    REAL(pwrite);
    struct ruling ruling = judge(counts(file), size);
    WRITES(ruling, real(file, buffer, ruling.bytes, start));
}

ssize_t pwrite64(int file, const void *buffer, size_t size, off64_t start) {
    REAL(pwrite64);
    struct ruling ruling = judge(counts(file), size);
    WRITES(ruling, real(file, buffer, ruling.bytes, start));
}

static size_t size_of(const struct iovec *parts, int number) {
    size_t size = 0;
    for (int i = 0; i < number; i++)
        size += parts[i].iov_len;
    return size;
}

/* Copy the parts of a write that make up its first bytes, and return how many there are. */
static int first(const struct iovec *parts, int number, size_t bytes, struct iovec *out) {
    int i = 0;
    for (; i < number && bytes; i++) {
        out[i] = parts[i];
        if (out[i].iov_len > bytes)
            out[i].iov_len = bytes;
        bytes -= out[i].iov_len;
    }
    return i;
}

#define VECTOR(name, declared, ...) \
    ssize_t name declared { \
        REAL(name); \
        int is_counted = counts(file); \
        if (!is_counted || number < 0 || number > IOV_MAX) \
            return real(file, parts, number, ##__VA_ARGS__); \
        struct iovec kept[IOV_MAX]; \
        struct ruling ruling = judge(1, size_of(parts, number)); \
        int parted = first(parts, number, ruling.bytes, kept); \
        WRITES(ruling, real(file, kept, parted, ##__VA_ARGS__)); \
    }

VECTOR(writev, (int file, const struct iovec *parts, int number))
VECTOR(pwritev, (int file, const struct iovec *parts, int number, off_t start), start)
VECTOR(pwritev64, (int file, const struct iovec *parts, int number, off64_t start), start)
VECTOR(pwritev2, (int file, const struct iovec *parts, int number, off_t start, int flags), start, flags)
VECTOR(pwritev64v2, (int file, const struct iovec *parts, int number, off64_t start, int flags), start, flags)

ssize_t copy_file_range(int from, off64_t *from_start, int file, off64_t *start, size_t size, unsigned flags) {
    REAL(copy_file_range);
    struct ruling ruling = judge(counts(file), size);
    WRITES(ruling, real(from, from_start, file, start, ruling.bytes, flags));
}

ssize_t sendfile(int file, int from, off_t *start, size_t size) {
    REAL(sendfile);
    struct ruling ruling = judge(counts(file), size);
    WRITES(ruling, real(file, from, start, ruling.bytes));
}

ssize_t sendfile64(int file, int from, off64_t *start, size_t size) {
    REAL(sendfile64);
    struct ruling ruling = judge(counts(file), size);
    WRITES(ruling, real(file, from, start, ruling.bytes));
}

/* Operations without bytes fail whole. */
#define WHOLE(name, declared, is_counted, ...) \
    int name declared { \
        REAL(name); \
        struct ruling ruling = judge(is_counted, 0); \
        return (int)settle(ruling, ruling.error ? 0 : real(__VA_ARGS__)); \
    }

WHOLE(fsync, (int file), counts(file), file)
WHOLE(fdatasync, (int file), counts(file), file)
WHOLE(ftruncate, (int file, off_t size), counts(file), file, size)
WHOLE(ftruncate64, (int file, off64_t size), counts(file), file, size)
WHOLE(fallocate, (int file, int mode, off_t start, off_t size), counts(file), file, mode, start, size)
WHOLE(fallocate64, (int file, int mode, off64_t start, off64_t size), counts(file), file, mode, start, size)
WHOLE(rename, (const char *from, const char *to), counts_path(AT_FDCWD, from) || counts_path(AT_FDCWD, to), from, to)
WHOLE(renameat, (int from_at, const char *from, int to_at, const char *to),
      counts_path(from_at, from) || counts_path(to_at, to), from_at, from, to_at, to)
WHOLE(renameat2, (int from_at, const char *from, int to_at, const char *to, unsigned flags),
      counts_path(from_at, from) || counts_path(to_at, to), from_at, from, to_at, to, flags)
WHOLE(link, (const char *from, const char *to), counts_path(AT_FDCWD, to), from, to)
WHOLE(linkat, (int from_at, const char *from, int to_at, const char *to, int flags), counts_path(to_at, to), from_at,
      from, to_at, to, flags)

/* These two return the error instead of setting errno. */
#define ALLOCATES(name, offset) \
    int name(int file, offset start, offset size) { \
        REAL(name); \
        struct ruling ruling = judge(counts(file), 0); \
        int error = ruling.error ? 0 : real(file, start, size); \
        return settle(ruling, 0) < 0 ? ruling.error : error; \
    }

ALLOCATES(posix_fallocate, off_t)
ALLOCATES(posix_fallocate64, off64_t)
