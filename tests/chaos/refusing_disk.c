/* Preloaded into a command: the folders below DISK_BELOW lie on a disk that refuses.

   DISK_REFUSES  rules CALL=ERRNO or CALL=ERRNO@PART, with commas between them; PART is to be in
                 the path. Calls: fsync_folder, fsync_file, utime, chmod, mmap_shared, flock,
                 write, grow, which is a write or a truncation that makes a file larger, and
                 seek, to a place beyond what a file of FAT32 can have.
   DISK_ROOM     bytes by which files may grow in a process before `grow` is refused.
   DISK_FOLDS    not empty: capitals and small letters are the same in names.
*/
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char below[PATH_MAX];
static char rules[4096];
static long room;
static int folds;

__attribute__((constructor)) static void begin(void) {
    const char *value = getenv("DISK_BELOW");
    snprintf(below, sizeof below, "%s", value ? value : "");
    value = getenv("DISK_REFUSES");
    snprintf(rules, sizeof rules, "%s", value ? value : "");
    value = getenv("DISK_ROOM");
    room = value ? atol(value) : 0;
    value = getenv("DISK_FOLDS");
    folds = value && *value;
}

static int is_below(const char *path) {
    size_t length = strlen(below);
    return length && !strncmp(path, below, length) && (!path[length] || path[length] == '/');
}

/* The error that a call is refused with, 0 where it is not. */
static int refusal(const char *call, const char *path) {
    size_t length = strlen(call);
    for (const char *rule = rules; *rule;) {
        size_t end = strcspn(rule, ",");
        if (!strncmp(rule, call, length) && rule[length] == '=') {
            char part[256] = "";
            char *behind;
            int number = (int)strtol(rule + length + 1, &behind, 10);
            if (*behind == '@')
                snprintf(part, sizeof part, "%.*s", (int)(rule + end - behind - 1), behind + 1);
            if (is_below(path) && strstr(path, part))
                return number;
        }
        rule += end + (rule[end] == ',');
    }
    return 0;
}

static int refusal_of(const char *call, int file) {
    char link[64], path[PATH_MAX];
    if (!*below || !strstr(rules, call))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return refusal(call, path);
}

static long refused(int number) {
    errno = number;
    return -1;
}

static int is_folder(int file) {
    struct stat status;
    return !fstat(file, &status) && S_ISDIR(status.st_mode);
}

/* Whether a file may become so large. */
static int grows_too_far(int file, off_t end) {
    struct stat status;
    int number = refusal_of("grow", file);
    if (!number || fstat(file, &status) || !S_ISREG(status.st_mode) || end <= status.st_size)
        return 0;
    room -= end - status.st_size;
    return room < 0 ? number : 0;
}

int fsync(int file) {
    int number = refusal_of(is_folder(file) ? "fsync_folder" : "fsync_file", file);
    return number ? refused(number) : syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    int number = refusal_of(is_folder(file) ? "fsync_folder" : "fsync_file", file);
    return number ? refused(number) : syscall(SYS_fdatasync, file);
}

/* Such disks know no call for a whole file system either. */
int syncfs(int file) {
    int number = refusal_of("fsync_file", file);
    return number ? refused(number) : syscall(SYS_syncfs, file);
}

int futimens(int file, const struct timespec times[2]) {
    int number = refusal_of("utime", file);
    return number ? refused(number) : syscall(SYS_utimensat, file, NULL, times, 0);
}

int fchmod(int file, mode_t mode) {
    int number = refusal_of("chmod", file);
    return number ? refused(number) : syscall(SYS_fchmod, file, mode);
}

int flock(int file, int operation) {
    int number = refusal_of("flock", file);
    return number ? refused(number) : syscall(SYS_flock, file, operation);
}

void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset) {
    int number = flags & MAP_SHARED && file >= 0 ? refusal_of("mmap_shared", file) : 0;
    if (number) {
        errno = number;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, address, size, protection, flags, file, offset);
}

void *mmap64(void *address, size_t size, int protection, int flags, int file, off_t offset) {
    return mmap(address, size, protection, flags, file, offset);
}

/* A disk with a largest file refuses the places behind it. */
off64_t lseek64(int file, off64_t place, int from) {
    int number = from == SEEK_SET && place > 0xffffffffLL ? refusal_of("seek", file) : 0;
    return number ? refused(number) : syscall(SYS_lseek, file, place, from);
}

off_t lseek(int file, off_t place, int from) { return lseek64(file, place, from); }

static int write_refusal(int file, off_t end) {
    int number = refusal_of("write", file);
    return number ? number : grows_too_far(file, end);
}

ssize_t write(int file, const void *data, size_t size) {
    int number = 0;
    if (*rules)
        number = write_refusal(file, lseek(file, 0, SEEK_CUR) + (off_t)size);
    return number ? refused(number) : syscall(SYS_write, file, data, size);
}

ssize_t pwrite(int file, const void *data, size_t size, off_t offset) {
    int number = write_refusal(file, offset + (off_t)size);
    return number ? refused(number) : syscall(SYS_pwrite64, file, data, size, offset);
}

ssize_t pwrite64(int file, const void *data, size_t size, off_t offset) {
    return pwrite(file, data, size, offset);
}

int ftruncate(int file, off_t size) {
    int number = grows_too_far(file, size);
    return number ? refused(number) : syscall(SYS_ftruncate, file, size);
}

int ftruncate64(int file, off_t size) { return ftruncate(file, size); }

/* Names: each part of a path becomes the name that the disk has, whatever its case. */

static const char *found(const char *path, char *result) {
    if (!folds || !is_below(path))
        return path;
    strcpy(result, below);
    const char *rest = path + strlen(below);
    while (*rest == '/') {
        rest++;
        size_t length = strcspn(rest, "/");
        char name[NAME_MAX + 1];
        snprintf(name, sizeof name, "%.*s", (int)length, rest);
        int folder = syscall(SYS_openat, AT_FDCWD, result, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        DIR *entries = folder < 0 ? NULL : fdopendir(folder);
        struct dirent *entry;
        while (entries && (entry = readdir(entries)))
            if (!strcasecmp(entry->d_name, name)) {
                strcpy(name, entry->d_name);
                break;
            }
        if (entries)
            closedir(entries);
        strcat(strcat(result, "/"), name);
        rest += length;
    }
    return result;
}

/* The same for a name in an open folder. */
static const char *found_in(int folder, const char *path, char *result) {
    char link[64], whole[PATH_MAX];
    if (!folds || *path == '/' || folder == AT_FDCWD)
        return found(path, result);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, whole, sizeof whole - 1);
    if (length < 0)
        return path;
    snprintf(whole + length, sizeof whole - length, "/%s", path);
    return is_below(whole) ? found(whole, result) : path;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) \
        real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static int open_in(int folder, const char *path, int flags, int mode) {
    char buffer[PATH_MAX];
    return syscall(SYS_openat, folder, found_in(folder, path, buffer), flags | O_LARGEFILE, mode);
}

#define MODE(last) \
    va_list rest; \
    va_start(rest, last); \
    int mode = va_arg(rest, int); \
    va_end(rest)

int open(const char *path, int flags, ...) {
    MODE(flags);
    return open_in(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags);
    return open_in(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE(flags);
    return open_in(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags);
    return open_in(folder, path, flags, mode);
}

DIR *opendir(const char *path) {
    char buffer[PATH_MAX];
    REAL(DIR *, opendir, const char *);
    return real(found(path, buffer));
}

int stat(const char *path, struct stat *status) {
    char buffer[PATH_MAX];
    REAL(int, stat, const char *, struct stat *);
    return real(found(path, buffer), status);
}

int lstat(const char *path, struct stat *status) {
    char buffer[PATH_MAX];
    REAL(int, lstat, const char *, struct stat *);
    return real(found(path, buffer), status);
}

int stat64(const char *path, struct stat64 *status) { return stat(path, (struct stat *)status); }
int lstat64(const char *path, struct stat64 *status) { return lstat(path, (struct stat *)status); }

int fstatat(int folder, const char *path, struct stat *status, int flags) {
    char buffer[PATH_MAX];
    REAL(int, fstatat, int, const char *, struct stat *, int);
    return real(folder, found_in(folder, path, buffer), status, flags);
}

int fstatat64(int folder, const char *path, struct stat64 *status, int flags) {
    return fstatat(folder, path, (struct stat *)status, flags);
}

int access(const char *path, int mode) {
    char buffer[PATH_MAX];
    REAL(int, access, const char *, int);
    return real(found(path, buffer), mode);
}

int unlinkat(int folder, const char *path, int flags) {
    char buffer[PATH_MAX];
    return syscall(SYS_unlinkat, folder, found_in(folder, path, buffer), flags);
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int folder, const char *path, mode_t mode) {
    char buffer[PATH_MAX];
    return syscall(SYS_mkdirat, folder, found_in(folder, path, buffer), mode);
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int renameat(int from_in, const char *from, int to_in, const char *to) {
    char one[PATH_MAX], other[PATH_MAX];
    return syscall(SYS_renameat2, from_in, found_in(from_in, from, one), to_in,
                   found_in(to_in, to, other), 0);
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
    char buffer[PATH_MAX], link[64], whole[PATH_MAX];
    snprintf(whole, sizeof whole, "%s", path);
    if (folder != AT_FDCWD && *path != '/') {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, whole, sizeof whole - 1);
        snprintf(whole + length, sizeof whole - length, "/%s", path);
    }
    int number = refusal("utime", whole);
    if (number)
        return refused(number);
    return syscall(SYS_utimensat, folder, found_in(folder, path, buffer), times, flags);
}

int fchmodat(int folder, const char *path, mode_t mode, int flags) {
    char buffer[PATH_MAX];
    int number = refusal("chmod", path);
    if (number)
        return refused(number);
    REAL(int, fchmodat, int, const char *, mode_t, int);
    return real(folder, found_in(folder, path, buffer), mode, flags);
}

int chmod(const char *path, mode_t mode) { return fchmodat(AT_FDCWD, path, mode, 0); }
