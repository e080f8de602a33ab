/* Stands between a process and the file system, for what lies below one folder.
 *
 * Loaded with LD_PRELOAD. It counts the calls by which anything becomes visible or durable, and, as
 * a control file says that others share, ends the process at one of them, lets one fail, or holds
 * it. With an undo log it notes what each call would lose if the power failed before the next
 * fsync; `_power.py` reads the log. What is mapped into memory is not seen: of SQLite's files that
 * is only "-shm", which every recovery builds anew, so it is left alone altogether.
 *
 * Environment: INTERPOSE_CONTROL, a file of `struct control`; INTERPOSE_ROOT, the folder, absolute
 * and without links; INTERPOSE_UNDO, a folder for the undo log; none is kept without it.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The same order as in _interpose.py. */
enum kind { WRITE, SYNC, TRUNCATE, RENAME, UNLINK, LINK, CREATE, MKDIR, RMDIR, READ, KINDS };
enum action { NOTHING, DIE_BEFORE, DIE_AFTER, DIE_TORN, FAIL, SHORTEN, STALL };
#define TEXT_BYTES 256
#define SECTOR_BYTES 512

struct control {
    _Atomic uint64_t calls[16]; /* by kind, since the file was made */
    _Atomic uint32_t syncs_lie; /* fsync and fdatasync do nothing and say they did */
    _Atomic uint32_t armed;     /* written last when arming, and read first */
    uint32_t action;
    uint32_t kinds; /* a bit for each kind that counts */
    uint64_t first; /* the first call, from 1, that is hit */
    uint64_t times; /* how many in a row; 0 for all from then on */
    uint32_t error; /* errno of FAIL */
    uint32_t milliseconds;          /* of STALL */
    char part[TEXT_BYTES];          /* what the path must contain, below the folder */
    _Atomic uint64_t matched;       /* calls since arming that were of such a kind and path */
    _Atomic uint64_t hits;          /* how many of them were hit */
    _Atomic uint32_t hit_kind;      /* of the last one that was */
    char hit_path[TEXT_BYTES];
};

/* As in _power.py: what stands in the undo log before the two paths and the bytes. */
enum note { NOTE_DATA, NOTE_TRUNCATED, NOTE_SYNCED, NOTE_CREATED, NOTE_UNLINKED, NOTE_RENAMED,
            NOTE_LINKED, NOTE_MKDIR, NOTE_RMDIR };

struct note_head {
    uint32_t note;
    uint32_t path_bytes;
    uint32_t other_bytes;
    uint32_t grave; /* the number under which a file that lost its name is kept; 0 for none */
    uint64_t at;    /* nanoseconds of the machine's clock, by which logs are merged */
    uint64_t inode;
    uint64_t offset; /* of the bytes; for NOTE_SYNCED, the moment up to which all is settled */
    uint64_t size;   /* of the file before */
    uint64_t length; /* of the bytes */
};

static struct control *control;
static char root[PATH_MAX];
static size_t root_length;
static char undo_folder[PATH_MAX];
static int undo_log = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name)                                                                               \
    static __typeof__(&name) real;                                                               \
    if (!real)                                                                                   \
    real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* ---- what is watched ---------------------------------------------------------------------- */

static uint64_t moment(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void give_up(const char *why) {
    dprintf(STDERR_FILENO, "_interpose: %s: %s\n", why, strerror(errno));
    _exit(70);
}

/* Reads the environment; called once more by a process that was forked to live by another. */
__attribute__((constructor)) void interpose_begin(void) {
    const char *file = getenv("INTERPOSE_CONTROL"), *folder = getenv("INTERPOSE_ROOT");
    const char *undo = getenv("INTERPOSE_UNDO");
    if (!file || !folder)
        return;
    root_length = strlen(folder);
    if (root_length >= sizeof root - 1)
        give_up("the folder's name is too long");
    memcpy(root, folder, root_length + 1);
    int descriptor = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC);
    if (descriptor < 0)
        give_up(file);
    struct stat found;
    if (fstat(descriptor, &found) || found.st_size != sizeof *control)
        give_up("the control file has another layout");
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (mapped == MAP_FAILED)
        give_up(file);
    syscall(SYS_close, descriptor);
    if (undo_log >= 0)
        syscall(SYS_close, undo_log);
    undo_log = -1;
    if (undo && *undo) {
        if (snprintf(undo_folder, sizeof undo_folder, "%s", undo) >= (int)sizeof undo_folder - 32)
            give_up("the folder's name is too long");
        /* One for each process: a process that is killed while it writes leaves a torn end. */
        char path[PATH_MAX + 64];
        snprintf(path, sizeof path, "%s/%llu-%d.log", undo_folder, (unsigned long long)moment(),
                 (int)getpid());
        undo_log = (int)syscall(SYS_openat, AT_FDCWD, path,
                                O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (undo_log < 0)
            give_up(path);
    }
    control = mapped;
}

/* Whether a path is below the folder or the folder itself, and no shared memory of SQLite's. */
static int is_watched(const char *path) {
    size_t length = strlen(path);
    if (strncmp(path, root, root_length) || (path[root_length] && path[root_length] != '/'))
        return 0;
    return length < 4 || strcmp(path + length - 4, "-shm");
}

/* The path of an open file, if it is watched. */
static int path_of(int descriptor, char *path) {
    if (!control)
        return 0;
    int kept = errno;
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    errno = kept;
    if (length <= 0 || path[0] != '/')
        return 0;
    path[length] = 0;
    return is_watched(path);
}

/* The absolute path of a name, if it is watched. */
static int path_at(int folder, const char *name, char *path) {
    if (!control || !name)
        return 0;
    int kept = errno, length;
    if (name[0] == '/') {
        length = snprintf(path, PATH_MAX, "%s", name);
    } else {
        char base[PATH_MAX];
        if (folder == AT_FDCWD) {
            if (!getcwd(base, sizeof base))
                base[0] = 0;
        } else {
            char link[40];
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t found = readlink(link, base, sizeof base - 1);
            base[found > 0 ? found : 0] = 0;
        }
        length = snprintf(path, PATH_MAX, "%s/%s", base, name);
    }
    errno = kept;
    return length > 0 && length < PATH_MAX && is_watched(path);
}

/* ---- what the control file wants ------------------------------------------------------------ */

/* Counts a call, and says what is to be done to it. */
static enum action ask(enum kind kind, const char *path) {
    atomic_fetch_add(&control->calls[kind], 1);
    if (!atomic_load_explicit(&control->armed, memory_order_acquire))
        return NOTHING;
    const char *below = path + root_length;
    if (!(control->kinds & (1u << kind)) || (control->part[0] && !strstr(below, control->part)))
        return NOTHING;
    uint64_t number = atomic_fetch_add(&control->matched, 1) + 1;
    if (number < control->first || (control->times && number >= control->first + control->times))
        return NOTHING;
    snprintf(control->hit_path, TEXT_BYTES, "%s", *below ? below + 1 : ".");
    atomic_store(&control->hit_kind, kind);
    atomic_fetch_add(&control->hits, 1);
    if (control->action == STALL) {
        struct timespec wait = {control->milliseconds / 1000,
                                control->milliseconds % 1000 * 1000000L};
        nanosleep(&wait, NULL);
        return NOTHING;
    }
    return control->action;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* What precedes each call: dies or fails if that is wanted. */
#define MEET(kind, path)                                                                         \
    enum action wanted = ask(kind, path);                                                        \
    if (wanted == DIE_BEFORE || (wanted == DIE_TORN && (kind) != WRITE))                         \
        die();                                                                                   \
    if (wanted == FAIL) {                                                                        \
        errno = (int)control->error;                                                             \
        return -1;                                                                               \
    }

#define LEAVE                                                                                    \
    if (wanted == DIE_AFTER)                                                                     \
    die()

/* ---- the undo log --------------------------------------------------------------------------- */

static void note(struct note_head head, const char *path, const char *other, const void *bytes) {
    int kept = errno;
    head.at = moment();
    head.path_bytes = (uint32_t)strlen(path);
    head.other_bytes = other ? (uint32_t)strlen(other) : 0;
    struct iovec parts[] = {
        {&head, sizeof head},
        {(void *)path, head.path_bytes},
        {(void *)other, head.other_bytes},
        {(void *)bytes, head.length},
    };
    size_t total = sizeof head + head.path_bytes + head.other_bytes + head.length;
    if (syscall(SYS_writev, undo_log, parts, 4) != (ssize_t)total)
        give_up("the undo log cannot be written");
    errno = kept;
}

/* Notes what a range of an open file holds before it is overwritten or cut off. */
static void note_range(enum note what, int descriptor, const char *path, uint64_t offset,
                       uint64_t length) {
    struct stat found;
    int kept = errno;
    if (fstat(descriptor, &found) || !S_ISREG(found.st_mode)) {
        errno = kept;
        return;
    }
    uint64_t size = (uint64_t)found.st_size;
    if (what == NOTE_TRUNCATED && offset == size)
        return;
    uint64_t held = offset >= size ? 0 : length < size - offset ? length : size - offset;
    char *bytes = held ? malloc(held) : NULL;
    if (held && !bytes)
        give_up("no memory for the undo log");
    if (held) {
        /* A second descriptor of a file that SQLite has locked would drop its locks when closed,
         * so one is opened only for what is open for writing alone. */
        int reading = descriptor;
        if ((fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_WRONLY) {
            char link[40];
            snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
            reading = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
        }
        if (syscall(SYS_pread64, reading, bytes, held, offset) != (ssize_t)held)
            give_up("what is overwritten cannot be read");
        if (reading != descriptor)
            syscall(SYS_close, reading);
    }
    note((struct note_head){.note = what, .inode = found.st_ino, .offset = offset,
                            .size = size, .length = held},
         path, NULL, bytes);
    free(bytes);
    errno = kept;
}

/* Keeps a file that is about to lose a name under a number. */
static uint32_t bury(const char *path) {
    static _Atomic uint32_t count;
    char grave[PATH_MAX + 32];
    int kept = errno;
    uint32_t number = ((uint32_t)getpid() << 12) ^ (atomic_fetch_add(&count, 1) + 1);
    snprintf(grave, sizeof grave, "%s/%u", undo_folder, number);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, grave, 0))
        number = 0;
    errno = kept;
    return number;
}

static uint64_t inode_of(const char *path) {
    struct stat found;
    int kept = errno;
    uint64_t inode = lstat(path, &found) ? 0 : found.st_ino;
    errno = kept;
    return inode;
}

static void begin_turn(void) {
    if (undo_log >= 0)
        pthread_mutex_lock(&turn);
}

static void end_turn(void) {
    if (undo_log >= 0)
        pthread_mutex_unlock(&turn);
}

/* ---- writing -------------------------------------------------------------------------------- */

static uint64_t position(int descriptor) {
    struct stat found;
    if (fcntl(descriptor, F_GETFL) & O_APPEND)
        return fstat(descriptor, &found) ? 0 : (uint64_t)found.st_size;
    off_t at = lseek(descriptor, 0, SEEK_CUR);
    return at < 0 ? 0 : (uint64_t)at;
}

/* How much of a write is done when it is cut in half: sectors are written whole or not at all. */
static size_t torn(uint64_t offset, size_t count) {
    uint64_t end = (offset + count / 2) / SECTOR_BYTES * SECTOR_BYTES;
    return end > offset ? end - offset : 0;
}

/* A write at an offset, or at the file's own position if that is negative. */
static ssize_t written(int descriptor, const char *path, const void *bytes, size_t count,
                       off_t offset) {
    MEET(WRITE, path);
    begin_turn();
    if (undo_log >= 0)
        note_range(NOTE_DATA, descriptor, path,
                   offset < 0 ? position(descriptor) : (uint64_t)offset, count);
    if (wanted == DIE_TORN)
        count = torn(offset < 0 ? position(descriptor) : (uint64_t)offset, count);
    if (wanted == SHORTEN && count > 1)
        count /= 2;
    ssize_t done = offset < 0 ? syscall(SYS_write, descriptor, bytes, count)
                              : syscall(SYS_pwrite64, descriptor, bytes, count, offset);
    end_turn();
    if (wanted == DIE_TORN)
        die();
    LEAVE;
    return done;
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    REAL(write);
    char path[PATH_MAX];
    return path_of(descriptor, path) ? written(descriptor, path, bytes, count, -1)
                                     : real(descriptor, bytes, count);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    REAL(pwrite);
    char path[PATH_MAX];
    return path_of(descriptor, path) ? written(descriptor, path, bytes, count, offset)
                                     : real(descriptor, bytes, count, offset);
}

ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    REAL(writev);
    char path[PATH_MAX];
    if (!path_of(descriptor, path))
        return real(descriptor, parts, count);
    ssize_t total = 0;
    for (int i = 0; i < count; i++) {
        ssize_t done = written(descriptor, path, parts[i].iov_base, parts[i].iov_len, -1);
        if (done < 0)
            return total ? total : done;
        total += done;
        if ((size_t)done < parts[i].iov_len)
            break;
    }
    return total;
}

static int cut(int descriptor, const char *path, off_t length) {
    MEET(TRUNCATE, path);
    begin_turn();
    if (undo_log >= 0)
        note_range(NOTE_TRUNCATED, descriptor, path, (uint64_t)length, UINT64_MAX);
    int done = (int)syscall(SYS_ftruncate, descriptor, length);
    end_turn();
    LEAVE;
    return done;
}

int ftruncate(int descriptor, off_t length) {
    REAL(ftruncate);
    char path[PATH_MAX];
    return path_of(descriptor, path) ? cut(descriptor, path, length) : real(descriptor, length);
}

int ftruncate64(int, off_t) __attribute__((alias("ftruncate")));

static int synced(int descriptor, const char *path, long call) {
    MEET(SYNC, path);
    if (atomic_load(&control->syncs_lie))
        return 0;
    /* What is written while it runs may or may not be covered, so it is not. */
    begin_turn();
    uint64_t settled = moment();
    end_turn();
    int done = (int)syscall(call, descriptor);
    struct stat found;
    if (undo_log >= 0 && !done && !fstat(descriptor, &found))
        note((struct note_head){.note = NOTE_SYNCED, .inode = found.st_ino,
                                .offset = settled},
             path, NULL, NULL);
    LEAVE;
    return done;
}

int fsync(int descriptor) {
    REAL(fsync);
    char path[PATH_MAX];
    return path_of(descriptor, path) ? synced(descriptor, path, SYS_fsync) : real(descriptor);
}

int fdatasync(int descriptor) {
    REAL(fdatasync);
    char path[PATH_MAX];
    return path_of(descriptor, path) ? synced(descriptor, path, SYS_fdatasync) : real(descriptor);
}

/* ---- reading, which only fails -------------------------------------------------------------- */

ssize_t read(int descriptor, void *bytes, size_t count) {
    REAL(read);
    char path[PATH_MAX];
    if (!path_of(descriptor, path))
        return real(descriptor, bytes, count);
    MEET(READ, path);
    ssize_t done = real(descriptor, bytes, count);
    LEAVE;
    return done;
}

ssize_t pread(int descriptor, void *bytes, size_t count, off_t offset) {
    REAL(pread);
    char path[PATH_MAX];
    if (!path_of(descriptor, path))
        return real(descriptor, bytes, count, offset);
    MEET(READ, path);
    ssize_t done = real(descriptor, bytes, count, offset);
    LEAVE;
    return done;
}

ssize_t pread64(int, void *, size_t, off_t) __attribute__((alias("pread")));

/* ---- names ---------------------------------------------------------------------------------- */

/* Only what makes or empties a file counts; a mere look at one does not. */
static int opened(int folder, const char *name, const char *path, int flags, mode_t mode) {
    int exists = !syscall(SYS_faccessat, AT_FDCWD, path, F_OK);
    int empties = exists && (flags & O_TRUNC);
    if (exists ? !empties : !(flags & O_CREAT))
        return (int)syscall(SYS_openat, folder, name, flags, mode);
    MEET(empties ? TRUNCATE : CREATE, path);
    begin_turn();
    if (empties && undo_log >= 0) {
        int descriptor = (int)syscall(SYS_openat, folder, name, O_RDWR | O_CLOEXEC);
        if (descriptor >= 0) {
            note_range(NOTE_TRUNCATED, descriptor, path, 0, UINT64_MAX);
            syscall(SYS_close, descriptor);
        }
    }
    int done = (int)syscall(SYS_openat, folder, name, flags, mode);
    if (!empties && done >= 0 && undo_log >= 0)
        note((struct note_head){.note = NOTE_CREATED, .inode = inode_of(path)}, path, NULL, NULL);
    end_turn();
    LEAVE;
    return done;
}

#define MODE_OF(flags)                                                                           \
    mode_t mode = 0;                                                                             \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                       \
        va_list rest;                                                                            \
        va_start(rest, flags);                                                                   \
        mode = va_arg(rest, mode_t);                                                             \
        va_end(rest);                                                                            \
    }

int open(const char *name, int flags, ...) {
    REAL(open);
    MODE_OF(flags)
    char path[PATH_MAX];
    return (flags & (O_CREAT | O_TRUNC)) && path_at(AT_FDCWD, name, path)
               ? opened(AT_FDCWD, name, path, flags, mode)
               : real(name, flags, mode);
}

int open64(const char *, int, ...) __attribute__((alias("open")));

int openat(int folder, const char *name, int flags, ...) {
    REAL(openat);
    MODE_OF(flags)
    char path[PATH_MAX];
    return (flags & (O_CREAT | O_TRUNC)) && path_at(folder, name, path)
               ? opened(folder, name, path, flags, mode)
               : real(folder, name, flags, mode);
}

int openat64(int, const char *, int, ...) __attribute__((alias("openat")));

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    REAL(renameat);
    char source[PATH_MAX], target[PATH_MAX];
    if (!path_at(from_folder, from, source) || !path_at(to_folder, to, target))
        return real(from_folder, from, to_folder, to);
    MEET(RENAME, target);
    begin_turn();
    uint32_t grave = undo_log < 0 ? 0 : bury(target);
    int done = (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
    if (undo_log >= 0 && !done)
        note((struct note_head){.note = NOTE_RENAMED, .grave = grave, .inode = inode_of(target)},
             target, source, NULL);
    end_turn();
    LEAVE;
    return done;
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    REAL(linkat);
    char target[PATH_MAX];
    if (!path_at(to_folder, to, target))
        return real(from_folder, from, to_folder, to, flags);
    MEET(LINK, target);
    begin_turn();
    int done = (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    if (undo_log >= 0 && !done)
        note((struct note_head){.note = NOTE_LINKED, .inode = inode_of(target)}, target, NULL,
             NULL);
    end_turn();
    LEAVE;
    return done;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int folder, const char *name, int flags) {
    REAL(unlinkat);
    char path[PATH_MAX];
    if (!path_at(folder, name, path))
        return real(folder, name, flags);
    int is_folder = !!(flags & AT_REMOVEDIR);
    MEET(is_folder ? RMDIR : UNLINK, path);
    begin_turn();
    uint64_t inode = undo_log < 0 ? 0 : inode_of(path);
    uint32_t grave = undo_log < 0 || is_folder ? 0 : bury(path);
    int done = (int)syscall(SYS_unlinkat, folder, name, flags);
    if (undo_log >= 0 && !done)
        note((struct note_head){.note = is_folder ? NOTE_RMDIR : NOTE_UNLINKED, .grave = grave,
                                .inode = inode},
             path, NULL, NULL);
    end_turn();
    LEAVE;
    return done;
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }

int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdirat(int folder, const char *name, mode_t mode) {
    REAL(mkdirat);
    char path[PATH_MAX];
    /* One that is there changes nothing. */
    if (!path_at(folder, name, path) || !syscall(SYS_faccessat, AT_FDCWD, path, F_OK))
        return real(folder, name, mode);
    MEET(MKDIR, path);
    begin_turn();
    int done = (int)syscall(SYS_mkdirat, folder, name, mode);
    if (undo_log >= 0 && !done)
        note((struct note_head){.note = NOTE_MKDIR, .inode = inode_of(path)}, path, NULL, NULL);
    end_turn();
    LEAVE;
    return done;
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }
