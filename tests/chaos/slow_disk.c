/* Preloaded into a command: its disk takes its time, as one at work does, so that a kill at any
   instant comes between two steps that are an instant on a fast one. DISK_NAPS has the most
   microseconds of a flush; a name takes an eighth of that. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long most;

__attribute__((constructor)) static void begin(void) {
    const char *value = getenv("DISK_NAPS");
    most = value ? atol(value) : 0;
}

static void nap(long longest) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (longest > 0)
        usleep((useconds_t)(now.tv_nsec / 1000 % longest));
}

#define SLOW(longest, result, name, parameters, arguments)                                         \
    result name parameters {                                                                       \
        static result(*real) parameters;                                                           \
        if (!real)                                                                                 \
            real = (result(*) parameters)dlsym(RTLD_NEXT, #name);                                  \
        nap(longest);                                                                              \
        return real arguments;                                                                     \
    }

SLOW(most, int, fsync, (int file), (file))
SLOW(most, int, fdatasync, (int file), (file))
SLOW(most / 8, int, unlink, (const char *path), (path))
SLOW(most / 8, int, unlinkat, (int folder, const char *path, int flags), (folder, path, flags))
SLOW(most / 8, int, rename, (const char *old, const char *new), (old, new))
SLOW(most / 8, int, renameat, (int from, const char *old, int to, const char *new),
     (from, old, to, new))
