/* Walks changed copies of the files named, so that sanitizers see what hostile bodies do, and, built
 * with LIBJPEG, compares each that is called whole with what libjpeg says.
 * mutations COPIES SEED FILE... */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "walk.h"

enum { ROOM = 1 << 20 };

static size_t read_file(const char *name, uint8_t *file) {
    FILE *opened = fopen(name, "rb");
    size_t size = opened ? fread(file, 1, ROOM, opened) : 0;
    if (opened)
        fclose(opened);
    return size;
}

/* Say whether the walk calls a body whole; ends the program where libjpeg does not. */
static int walk_one(const uint8_t *changed, size_t size, const char *name, uint64_t seed) {
    uint8_t *body = malloc(size); /* exactly, so that no byte beyond goes unseen */
    memcpy(body, changed, size);
    int whole = jpeg_is_whole(body, size);
#ifdef LIBJPEG
    if (whole && !libjpeg_calls_whole(body, size)) {
        fprintf(stderr, "%s, seed %llu: called whole, and libjpeg does not\n", name,
                (unsigned long long)seed);
        exit(1);
    }
#else
    (void)name, (void)seed;
#endif
    free(body);
    return whole;
}

int main(int count, char **arguments) {
    static uint8_t file[ROOM], other[ROOM], changed[ROOM + 1];
    long whole = 0, copies = strtol(arguments[1], NULL, 10);
    uint64_t seed = strtoull(arguments[2], NULL, 10) << 32;
    for (int i = 3; i < count; i++) {
        size_t size = read_file(arguments[i], file);
        size_t other_size = read_file(arguments[i + 1 < count ? i + 1 : 3], other);
        if (size < 4 || other_size < 4)
            return 2;
        for (long copy = 0; copy < copies; copy++, seed++) {
            memcpy(changed, file, size);
            size_t now = mutate(changed, size, ROOM, other, other_size, seed);
            whole += walk_one(changed, now, arguments[i], seed);
        }
    }
    printf("%ld\n", whole);
    return 0;
}
