/* Walks changed copies of the files named, so that sanitizers see what hostile bodies do.
 * mutations COPIES SEED FILE... */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walk.h"

static uint64_t state;

static uint64_t below(uint64_t limit) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % limit;
}

/* Change a byte, or fill a few with ones, in the header as often as behind it. */
static void change(uint8_t *body, size_t size) {
    size_t at = below(below(2) && size > 700 ? 700 : size);
    if (below(3))
        body[at] = (uint8_t)below(256);
    else
        memset(body + at, 0xFF, below(size - at < 40 ? size - at : 40));
}

int main(int count, char **arguments) {
    long whole = 0;
    state = 88172645463325252u ^ strtoul(arguments[2], NULL, 10);
    for (int i = 3; i < count; i++) {
        static uint8_t file[1 << 20];
        FILE *opened = fopen(arguments[i], "rb");
        size_t length = opened ? fread(file, 1, sizeof file, opened) : 0;
        if (length < 4 || fclose(opened))
            return 2;
        for (long copies = strtol(arguments[1], NULL, 10); copies; copies--) {
            size_t size = below(3) ? length : 4 + below(length - 3);
            uint8_t *body = malloc(size); /* exactly, so that no byte beyond goes unseen */
            memcpy(body, file, size);
            for (uint64_t changes = below(6); changes; changes--)
                change(body, size);
            if (!below(4))
                memcpy(body + size - 2, "\xff\xd9", 2);
            whole += jpeg_is_whole(body, size);
            free(body);
        }
    }
    printf("%ld\n", whole);
    return 0;
}
