/* Changes bodies where their structure suggests it: segments, scans, and what stands in them. */

#include <string.h>

#include "fuzz.h"

enum { MOST_PIECES = 200, OLDEST = 88172645 };

static uint64_t state;

static uint64_t below(uint64_t limit) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return limit ? state % limit : 0;
}

/* Where markers are, and the end: a segment is a piece, and so are the codes behind one. */
static int find_pieces(const uint8_t *body, size_t size, size_t *pieces) {
    int count = 0;
    size_t at = 0;
    while (at + 4 <= size && count < MOST_PIECES - 1) {
        int marker = body[at + 1];
        if (body[at] != 0xFF || marker == 0 || marker == 0xFF || (marker & 0xF8) == 0xD0) {
            at++;
            continue;
        }
        pieces[count++] = at;
        if (marker != 0xD8 && marker != 0xD9 && marker != 1)
            at += (size_t)(body[at + 2] << 8 | body[at + 3]);
        at += 2;
    }
    pieces[count] = size;
    return count;
}

/* Put bytes in the place of others; returns the new size, the old one where there is no room. */
static size_t put(uint8_t *body, size_t size, size_t room, size_t at, size_t out, const void *in,
                  size_t length) {
    if (at > size || out > size - at || size - out + length > room)
        return size;
    memmove(body + at + length, body + at + out, size - at - out);
    memcpy(body + at, in, length);
    return size - out + length;
}

#define ODDITY(bytes) {sizeof(bytes) - 1, bytes}
static const struct {
    size_t size;
    const char *bytes;
} oddities[] = {
    ODDITY("\xff\xe0\0\x10JFIF\0\2\1\0\0\1\0\1\0\0"),  /* version 2 */
    ODDITY("\xff\xe0\0\x10JFIF\0\1\2\0\0\0\0\0\0\0"),
    ODDITY("\xff\xe0\0\x10JFXX\0\x13\0\0\0\0\0\0\0\0"),
    ODDITY("\xff\xee\0\x0e" "Adobe\0d\0\0\0\0\0"),
    ODDITY("\xff\xee\0\x0e" "Adobe\0d\0\0\0\0\1"),
    ODDITY("\xff\xee\0\x0e" "Adobe\0d\0\0\0\0\2"),
    ODDITY("\xff\xee\0\x0e" "Adobe\0d\0\0\0\0\x07"), /* no transform that there is */
    ODDITY("\xff\xee\0\x04" "Ad"),
    ODDITY("\xff\xe1\0\0"), /* lengths that do not count themselves */
    ODDITY("\xff\xe0\0\1"),
    ODDITY("\xff\xe5\0\2"),
    ODDITY("\xff\xfe\0\5abc"),
    ODDITY("\xff\xff\xff"), /* fill bytes */
    ODDITY("\xff\1"),
    ODDITY("\xff\xd3"),
    ODDITY("\xff\xd8"),
    ODDITY("\xff\xd9"),
    ODDITY("\xff\xdc\0\4\0\x10"), /* number of lines */
    ODDITY("\xff\xdd\0\4\0\0"),
    ODDITY("\xff\xdd\0\4\0\2"),
    ODDITY("stray bytes"),
    ODDITY("\0\0\0\0"),
    ODDITY("\xff\0"),
};

/* A piece of a kind of segment, or -1. */
static int find_kind(const uint8_t *body, const size_t *pieces, int count, int low, int high) {
    int start = (int)below((uint64_t)count);
    for (int i = 0; i < count; i++) {
        int piece = (start + i) % count;
        if (body[pieces[piece] + 1] >= low && body[pieces[piece] + 1] <= high)
            return piece;
    }
    return -1;
}

/* Change sizes, samplings or tables of the frame, or what a scan says of itself. */
static void change_field(uint8_t *body, size_t size, const size_t *pieces, int count) {
    int is_frame = below(3) > 0;
    int piece = find_kind(body, pieces, count, is_frame ? 0xC0 : 0xDA, is_frame ? 0xC2 : 0xDA);
    if (piece < 0)
        return;
    size_t at = pieces[piece];
    if (!is_frame) {
        at += 4 + below(10);
        if (at < size)
            body[at] = (uint8_t)(below(2) ? below(8) : body[at] ^ 1u << below(8));
    } else if (at + 20 < size && below(2)) {
        body[at + 11 + 3 * below(3)] = (uint8_t)((1 + below(4)) << 4 | (1 + below(4)));
    } else if (at + 20 < size) {
        at += 4 + below(15);
        body[at] = (uint8_t)(below(2) ? below(5) : below(256));
    }
}

static void change_bytes(uint8_t *body, size_t size) {
    size_t at = below(size), length = 1 + below(40);
    if (length > size - at)
        length = size - at;
    switch (below(5)) {
    case 0: memset(body + at, 0, length); break;
    case 1: memset(body + at, 0xFF, length); break;
    case 2: body[at] ^= (uint8_t)(1u << below(8)); break;
    default: body[at] = (uint8_t)below(256); break;
    }
}

static size_t move_pieces(uint8_t *body, size_t size, size_t room, const size_t *pieces, int count,
                          const uint8_t *other, size_t other_size) {
    static uint8_t kept[1 << 16];
    size_t theirs[MOST_PIECES];
    int from = (int)below((uint64_t)count), to = (int)below((uint64_t)count);
    const uint8_t *source = body + pieces[from];
    size_t length = pieces[from + 1] - pieces[from];
    switch (below(4)) {
    case 0: /* leave it out */
        return put(body, size, room, pieces[from], length, "", 0);
    case 1: { /* take one of the other's */
        int others = find_pieces(other, other_size, theirs);
        if (!others)
            return size;
        int theirs_from = (int)below((uint64_t)others);
        source = other + theirs[theirs_from];
        length = theirs[theirs_from + 1] - theirs[theirs_from];
    }
    /* fall through */
    default: /* put it elsewhere, instead of what is there or not */
        if (length > sizeof kept)
            return size;
        memcpy(kept, source, length);
        return put(body, size, room, pieces[to], below(2) ? pieces[to + 1] - pieces[to] : 0, kept,
                   length);
    }
}

static size_t end_early(uint8_t *body, size_t size, size_t room, const size_t *pieces, int count) {
    size_t at = below(2) ? pieces[below((uint64_t)count)] : below(size);
    switch (below(4)) {
    case 0: /* no end marker */
        return at < 4 ? size : at;
    case 1: { /* zeros before it */
        static const uint8_t zeros[64];
        return size < 2 ? size : put(body, size, room, size - 2, 0, zeros, 1 + below(64));
    }
    case 2: /* zeros for the rest */
        memset(body + at, 0, size - at);
        /* fall through */
    default:
        return put(body, size, room, at < 4 ? size : at, at < 4 ? 0 : size - at, "\xff\xd9", 2);
    }
}

size_t mutate(uint8_t *body, size_t size, size_t room, const uint8_t *other, size_t other_size,
              uint64_t seed) {
    state = (seed + OLDEST) * 0x9E3779B97F4A7C15u | 1;
    for (int i = 0; i < 8; i++)
        below(1);
    for (uint64_t changes = below(5); changes; changes--) {
        size_t pieces[MOST_PIECES];
        int count = find_pieces(body, size, pieces);
        if (size < 4 || !count)
            break;
        switch (below(9)) {
        case 0: case 1:
            change_bytes(body, size);
            break;
        case 2: case 3: case 4: {
            uint64_t odd = below(sizeof oddities / sizeof *oddities);
            size_t at = below(4) ? pieces[below((uint64_t)count)] : below(size);
            size = put(body, size, room, at, 0, oddities[odd].bytes, oddities[odd].size);
            break;
        }
        case 5: case 6:
            change_field(body, size, pieces, count);
            break;
        case 7:
            size = move_pieces(body, size, room, pieces, count, other, other_size);
            break;
        default:
            size = end_early(body, size, room, pieces, count);
        }
    }
    return size;
}
