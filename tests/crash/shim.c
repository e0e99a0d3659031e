/* Between a process and the C library: another wall clock, a disk that refuses, and a journal of what would survive a
 * power cut. Built by the tests with gcc, loaded with LD_PRELOAD.
 *
 * CRASH_CONTROL  file of two int64: ns added to the wall clock; errno for writes to files of ours, 0 for none
 * CRASH_FOLDER   files below it are ours
 * CRASH_BOOT     file that stands for the id of the running boot
 * CRASH_JOURNAL  gets a record of each change to them: "op inode offset length path_length\n" and the path and bytes
 *
 * SQLite maps only its -shm files, which mean nothing after a cut, so write, pwrite, ftruncate, fsync, rename and unlink
 * are all there is. fsync only writes a record: the journal is the disk.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FILES 65536
static volatile int64_t *control;
static const char *folder;
static size_t folder_length;
static const char *boot;
static int journal = -1;
static ino_t ours[FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CRASH_CONTROL");
    int file = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR, 0) : -1;
    if (file >= 0) {
        void *map = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (map != MAP_FAILED) control = map;
        syscall(SYS_close, file);
    }
    folder = getenv("CRASH_FOLDER");
    folder_length = folder ? strlen(folder) : 0;
    boot = getenv("CRASH_BOOT");
    path = getenv("CRASH_JOURNAL");
    if (path) journal = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* --- the clock --------------------------------------------------------------------------------------------------- */

int clock_gettime(clockid_t which, struct timespec *now) {
    REAL(clock_gettime);
    int result = real(which, now);
    if (result == 0 && control && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
        __int128 total = (__int128)now->tv_sec * 1000000000 + now->tv_nsec + control[0];
        if (total < 0) total = 0;
        now->tv_sec = (time_t)(total / 1000000000);
        now->tv_nsec = (long)(total % 1000000000);
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    if (out) *out = exact.tv_sec;
    return exact.tv_sec;
}

/* --- the disk ---------------------------------------------------------------------------------------------------- */

static int is_ours(int file) { return file >= 0 && file < FILES && ours[file]; }

static int refused(void) {
    if (control && control[1]) {
        errno = (int)control[1];
        return 1;
    }
    return 0;
}

static void record(char op, ino_t inode, int64_t offset, const void *bytes, size_t length, const char *path) {
    if (journal < 0) return;
    char head[128];
    size_t path_length = path ? strlen(path) : 0;
    int size = snprintf(head, sizeof head, "%c %llu %lld %zu %zu\n", op, (unsigned long long)inode, (long long)offset,
                        length, path_length);
    char *whole = malloc(size + path_length + length);
    if (!whole) return;
    memcpy(whole, head, size);
    if (path_length) memcpy(whole + size, path, path_length);
    if (length) memcpy(whole + size + path_length, bytes, length);
    syscall(SYS_write, journal, whole, size + path_length + length);
    free(whole);
}

static const char *absolute(const char *path, char *space) {
    if (path[0] == '/') return path;
    if (!getcwd(space, PATH_MAX)) return path;
    strncat(space, "/", PATH_MAX - strlen(space) - 1);
    strncat(space, path, PATH_MAX - strlen(space) - 1);
    return space;
}

static int below(const char *path) {
    return folder_length && strncmp(path, folder, folder_length) == 0 &&
           (path[folder_length] == '/' || path[folder_length] == 0);
}

static int opened(int directory, const char *given, int flags, mode_t mode) {
    char space[PATH_MAX];
    if (boot && strcmp(given, "/proc/sys/kernel/random/boot_id") == 0) given = boot;
    const char *path = directory == AT_FDCWD || given[0] == '/' ? absolute(given, space) : given;
    int is_mine = below(path) && strcmp(path + strlen(path) - (strlen(path) < 4 ? 0 : 4), "-shm") != 0;
    struct stat before;
    int is_new = is_mine && (flags & O_CREAT) && stat(path, &before) != 0;
    if (is_mine && (is_new || (flags & O_TRUNC)) && refused()) return -1;
    pthread_mutex_lock(&lock);
    int file = (int)syscall(SYS_openat, directory, given, flags | O_LARGEFILE, mode);
    struct stat after;
    if (file >= 0 && file < FILES) {
        ours[file] = 0;
        if (is_mine && fstat(file, &after) == 0) {
            ours[file] = after.st_ino;
            record(S_ISDIR(after.st_mode) ? 'd' : 'o', after.st_ino, 0, NULL, 0, path);
            if (flags & O_TRUNC) record('t', after.st_ino, 0, NULL, 0, NULL);
        }
    }
    pthread_mutex_unlock(&lock);
    return file;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return opened(at, path, flags, mode); }

int close(int file) {
    if (file >= 0 && file < FILES) ours[file] = 0;
    return (int)syscall(SYS_close, file);
}

static ssize_t written(int file, const void *bytes, size_t length, int64_t offset) {
    if (refused()) return -1;
    pthread_mutex_lock(&lock);
    ssize_t size = offset < 0 ? syscall(SYS_write, file, bytes, length) : syscall(SYS_pwrite64, file, bytes, length, offset);
    int64_t at = offset >= 0 ? offset : lseek(file, 0, SEEK_CUR) - size;
    if (size > 0) record('w', ours[file], at, bytes, (size_t)size, NULL);
    pthread_mutex_unlock(&lock);
    return size;
}

ssize_t write(int file, const void *bytes, size_t length) {
    return is_ours(file) ? written(file, bytes, length, -1) : syscall(SYS_write, file, bytes, length);
}
ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
    return is_ours(file) ? written(file, bytes, length, offset) : syscall(SYS_pwrite64, file, bytes, length, offset);
}
ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
    return is_ours(file) ? written(file, bytes, length, offset) : syscall(SYS_pwrite64, file, bytes, length, offset);
}

static int truncated(int file, int64_t size) {
    if (!is_ours(file)) return (int)syscall(SYS_ftruncate, file, size);
    if (refused()) return -1;
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_ftruncate, file, size);
    if (result == 0) record('t', ours[file], size, NULL, 0, NULL);
    pthread_mutex_unlock(&lock);
    return result;
}
int ftruncate(int file, off_t size) { return truncated(file, size); }
int ftruncate64(int file, off64_t size) { return truncated(file, size); }

static int synced(int file, long number) {
    if (!is_ours(file)) return (int)syscall(number, file);
    if (refused()) return -1;
    pthread_mutex_lock(&lock);
    /* The journal is the disk here, so nothing is waited for: a record says that all before it is safe. */
    record('s', ours[file], 0, NULL, 0, NULL);
    pthread_mutex_unlock(&lock);
    return 0;
}
int fsync(int file) { return synced(file, SYS_fsync); }
int fdatasync(int file) { return synced(file, SYS_fdatasync); }

int rename(const char *from, const char *to) {
    char one[PATH_MAX], two[PATH_MAX];
    const char *old = absolute(from, one), *new = absolute(to, two);
    if (below(old) && refused()) return -1;
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    if (result == 0 && below(old)) record('r', 0, 0, new, strlen(new), old);
    pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *given) {
    char space[PATH_MAX];
    const char *path = absolute(given, space);
    if (below(path) && refused() && errno != ENOSPC) return -1;
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, given, 0);
    if (result == 0 && below(path)) record('u', 0, 0, NULL, 0, path);
    pthread_mutex_unlock(&lock);
    return result;
}
