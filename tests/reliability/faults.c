/* Faults at the n-th call by which a process changes files below one folder; loaded by LD_PRELOAD on Linux.
 *
 * Counted are calls that create, write, sync, rename, link or remove. Of threads together, so the n-th is one of any.
 * Or a bad sector: reading from the n-th byte on, of a file or of each below a folder, fails.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* FULL: as FAILING, and nothing has room from then on. */
enum fault { NONE, KILLED, SIGNALLED, FAILING, FULL, HALF, UNREADABLE };
enum kind { CREATES = 'c', WRITES = 'w', SYNCS = 's', MOVES = 'm', REMOVES = 'r' };

#define MOST 4096
#define SECTOR 4096
struct record {
    int count;
    char kinds[MOST]; /* Of every call that was counted. */
    char hit[PATH_MAX + 32];
};

static struct record *seen; /* Shared with the parent, which reads it when a child was killed. */
static enum fault fault;
static int value, nth; /* A signal's or an error's number; which call, or which byte. */
static char folder[PATH_MAX];

__attribute__((constructor)) static void begin(void)
{
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* Count from 0 on, below `below` (an absolute path without links), and let the n-th call fail; n = 0 for none.
 * With UNREADABLE: let reading of the sector that begins with byte n fail. */
void faults_arm(const char *below, int which, int number, int n)
{
    memset(seen, 0, sizeof *seen);
    fault = which, value = number, nth = n;
    snprintf(folder, sizeof folder, "%s", below);
}

const struct record *faults_seen(void)
{
    return seen;
}

static int below(const char *path)
{
    size_t length = strlen(folder);
    return !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int file_touched(int fd, char *path)
{
    char link[64];
    if (!*folder)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return below(path);
}

static int name_touched(int at, const char *name, char *path)
{
    char full[PATH_MAX], parent[PATH_MAX];
    if (!*folder || !name)
        return 0;
    *full = 0;
    if (*name != '/' && at != AT_FDCWD)
        file_touched(at, full), strncat(full, "/", sizeof full - strlen(full) - 1);
    strncat(full, name, sizeof full - strlen(full) - 1);
    snprintf(path, PATH_MAX, "%s", full);
    if (!realpath(dirname(full), parent))
        return 0;
    char last[PATH_MAX];
    snprintf(last, sizeof last, "%s", path);
    snprintf(path, PATH_MAX, "%.3000s/%.1000s", parent, basename(last));
    return below(path);
}

static void die(int number)
{
    kill(getpid(), number);
}

/* Count a call, and return what is to become of it. */
static enum fault struck(const char *call, enum kind kind, const char *path)
{
    if (fault == UNREADABLE)
        return NONE;
    int n = __sync_add_and_fetch(&seen->count, 1);
    if (n <= MOST)
        seen->kinds[n - 1] = kind;
    if (n != nth)
        return fault == FULL && nth && n > nth && (kind == WRITES || kind == CREATES) ? FAILING : NONE;
    snprintf(seen->hit, sizeof seen->hit, "%s %s", call, path);
    if (fault == SIGNALLED)
        die(value);
    return fault == FULL ? FAILING : fault;
}

#define NEXT(name)                                                                                                     \
    static __typeof__(&name) next;                                                                                     \
    if (!next)                                                                                                         \
    next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* The body of a wrapper: the call itself, unless it is to fail. */
#define PASS(name, kind, touched, type, call)                                                                          \
    NEXT(name);                                                                                                        \
    char path[PATH_MAX];                                                                                               \
    enum fault due = (touched) ? struck(#name, kind, path) : NONE;                                                     \
    if (due == FAILING) {                                                                                              \
        errno = value;                                                                                                 \
        return -1;                                                                                                     \
    }                                                                                                                  \
    type result = call;                                                                                                \
    if (due == KILLED)                                                                                                 \
        die(SIGKILL);                                                                                                  \
    return result

#define HALVED(length) (due == HALF ? ((length) + 1) / 2 : (length))

ssize_t write(int fd, const void *data, size_t length)
{
    PASS(write, WRITES, file_touched(fd, path), ssize_t, next(fd, data, HALVED(length)));
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t place)
{
    PASS(pwrite, WRITES, file_touched(fd, path), ssize_t, next(fd, data, HALVED(length), place));
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t place)
{
    PASS(pwrite64, WRITES, file_touched(fd, path), ssize_t, next(fd, data, HALVED(length), place));
}

ssize_t writev(int fd, const struct iovec *data, int number)
{
    PASS(writev, WRITES, file_touched(fd, path), ssize_t, next(fd, data, HALVED(number)));
}

ssize_t pwritev(int fd, const struct iovec *data, int number, off_t place)
{
    PASS(pwritev, WRITES, file_touched(fd, path), ssize_t, next(fd, data, HALVED(number), place));
}

ssize_t sendfile(int to, int from, off_t *place, size_t length)
{
    PASS(sendfile, WRITES, file_touched(to, path), ssize_t, next(to, from, place, HALVED(length)));
}

ssize_t sendfile64(int to, int from, off64_t *place, size_t length)
{
    PASS(sendfile64, WRITES, file_touched(to, path), ssize_t, next(to, from, place, HALVED(length)));
}

ssize_t copy_file_range(int from, off64_t *start, int to, off64_t *place, size_t length, unsigned flags)
{
    PASS(copy_file_range, WRITES, file_touched(to, path), ssize_t,
         next(from, start, to, place, HALVED(length), flags));
}

size_t fwrite(const void *data, size_t size, size_t number, FILE *file) /* NumPy's tofile; the C library's own write. */
{
    NEXT(fwrite);
    char path[PATH_MAX];
    enum fault due = file_touched(fileno(file), path) ? struck("fwrite", WRITES, path) : NONE;
    if (due == FAILING) {
        errno = value;
        return 0;
    }
    size_t result = next(data, size, HALVED(number), file);
    if (due == KILLED)
        die(SIGKILL);
    return result;
}

/* Return how many bytes can be read before the bad sector, or -1 in it. */
static ssize_t readable(const char *call, int fd, off_t place, size_t length)
{
    char path[PATH_MAX];
    if (fault != UNREADABLE || !file_touched(fd, path))
        return length;
    place = place < 0 ? lseek(fd, 0, SEEK_CUR) : place;
    if (place < 0 || place >= (off_t)nth + SECTOR || place + (off_t)length <= nth)
        return length;
    if (place < nth)
        return nth - place;
    snprintf(seen->hit, sizeof seen->hit, "%s %s", call, path);
    errno = value;
    return -1;
}

ssize_t read(int fd, void *data, size_t length)
{
    NEXT(read);
    ssize_t most = readable("read", fd, -1, length);
    return most < 0 ? -1 : next(fd, data, most);
}

ssize_t pread(int fd, void *data, size_t length, off_t place)
{
    NEXT(pread);
    ssize_t most = readable("pread", fd, place, length);
    return most < 0 ? -1 : next(fd, data, most, place);
}

ssize_t pread64(int fd, void *data, size_t length, off64_t place)
{
    NEXT(pread64);
    ssize_t most = readable("pread64", fd, place, length);
    return most < 0 ? -1 : next(fd, data, most, place);
}

int ftruncate(int fd, off_t length)
{
    PASS(ftruncate, WRITES, file_touched(fd, path), int, next(fd, length));
}

int ftruncate64(int fd, off64_t length)
{
    PASS(ftruncate64, WRITES, file_touched(fd, path), int, next(fd, length));
}

int fsync(int fd)
{
    PASS(fsync, SYNCS, file_touched(fd, path), int, next(fd));
}

int fdatasync(int fd)
{
    PASS(fdatasync, SYNCS, file_touched(fd, path), int, next(fd));
}

int rename(const char *from, const char *to)
{
    PASS(rename, MOVES, name_touched(AT_FDCWD, to, path), int, next(from, to));
}

int renameat(int old, const char *from, int new, const char *to)
{
    PASS(renameat, MOVES, name_touched(new, to, path), int, next(old, from, new, to));
}

int renameat2(int old, const char *from, int new, const char *to, unsigned flags)
{
    PASS(renameat2, MOVES, name_touched(new, to, path), int, next(old, from, new, to, flags));
}

int link(const char *from, const char *to)
{
    PASS(link, MOVES, name_touched(AT_FDCWD, to, path), int, next(from, to));
}

int linkat(int old, const char *from, int new, const char *to, int flags)
{
    PASS(linkat, MOVES, name_touched(new, to, path), int, next(old, from, new, to, flags));
}

int unlink(const char *name)
{
    PASS(unlink, REMOVES, name_touched(AT_FDCWD, name, path), int, next(name));
}

int unlinkat(int at, const char *name, int flags)
{
    PASS(unlinkat, REMOVES, name_touched(at, name, path), int, next(at, name, flags));
}

int rmdir(const char *name)
{
    PASS(rmdir, REMOVES, name_touched(AT_FDCWD, name, path), int, next(name));
}

int mkdir(const char *name, mode_t mode)
{
    PASS(mkdir, CREATES, name_touched(AT_FDCWD, name, path), int, next(name, mode));
}

int mkdirat(int at, const char *name, mode_t mode)
{
    PASS(mkdirat, CREATES, name_touched(at, name, path), int, next(at, name, mode));
}

/* Opening counts where it may change something. */
#define CHANGES(flags) ((flags) & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR))

#define MODE(last)                                                                                                     \
    mode_t mode = 0;                                                                                                   \
    if ((last) & (O_CREAT | O_TMPFILE)) {                                                                              \
        va_list rest;                                                                                                  \
        va_start(rest, last);                                                                                          \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

int open(const char *name, int flags, ...)
{
    MODE(flags)
    PASS(open, CREATES, CHANGES(flags) && name_touched(AT_FDCWD, name, path), int, next(name, flags, mode));
}

int open64(const char *name, int flags, ...)
{
    MODE(flags)
    PASS(open64, CREATES, CHANGES(flags) && name_touched(AT_FDCWD, name, path), int, next(name, flags, mode));
}

int openat(int at, const char *name, int flags, ...)
{
    MODE(flags)
    PASS(openat, CREATES, CHANGES(flags) && name_touched(at, name, path), int, next(at, name, flags, mode));
}

int openat64(int at, const char *name, int flags, ...)
{
    MODE(flags)
    PASS(openat64, CREATES, CHANGES(flags) && name_touched(at, name, path), int, next(at, name, flags, mode));
}
