/* Reads bits; bytes beyond the data are there (PADDING), and `left` tells whether they were used.
 *
 * All of it is inlined, so that the window stays in a register: half the speed lies in that.
 */

#ifndef BITS_H
#define BITS_H

#include "walk.h"

#include <assert.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define SELDOM(condition) __builtin_expect(!!(condition), 0)

/* Have 56 bits or more in the window. */
INLINE void fill(struct bits *bits) {
    uint64_t more;
    memcpy(&more, bits->next, sizeof more);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    more = __builtin_bswap64(more);
#endif
    bits->window |= more >> bits->held;
    bits->next += (63 - bits->held) >> 3;
    bits->held |= 56;
}

/* Have 32 bits or more in the window. */
INLINE void need(struct bits *bits) {
    if (bits->held < 32)
        fill(bits);
}

/* Pass over bits; the caller sees to it that the window has so many. */
INLINE void drop(struct bits *bits, int count) {
    assert(count <= bits->held);
    bits->window <<= count;
    bits->held -= count;
}

/* Pass over any number of bits of a window that was just filled; 16 or more stay in it. */
INLINE void skip(struct bits *bits, int count) {
    for (; SELDOM(count > 40); count -= 40) {
        drop(bits, 40);
        fill(bits);
    }
    drop(bits, count);
}

/* Return the next bits, up to 16; the window has them. */
INLINE uint32_t take(struct bits *bits, int count) {
    uint32_t value = (uint32_t)(bits->window >> 1 >> (63 - count));
    drop(bits, count);
    return value;
}

/* Bits of the data that are left; below zero: more were taken than there are. */
INLINE int64_t left(const struct bits *bits) {
    return bits->count - 8 * (bits->next - bits->start) + bits->held;
}

static __attribute__((noinline)) int long_code(uint64_t window, const struct table *table) {
    for (int length = CODE_BITS + 1; length <= LONGEST_CODE; length++) {
        int32_t code = (int32_t)(window >> (64 - length));
        if (code <= table->last_code[length])
            return length << 8 | table->symbols[table->first_symbol[length] + code];
    }
    return -1;
}

/* Return the next symbol, or -1; 16 bits or more stay in the window. */
INLINE int symbol(struct bits *bits, const struct table *table) {
    need(bits);
    int code = table->codes[bits->window >> (64 - CODE_BITS)];
    if (SELDOM(!code))
        code = long_code(bits->window, table);
    if (SELDOM(code < 0))
        return -1;
    drop(bits, code >> 8);
    return code & 255;
}

/* Return the length of the next code << 8 | its symbol, or -1, and fill the window. 16 bits must be
 * in it; to look before it is filled lets both be done at the same time. */
INLINE int next_code(struct bits *bits, const struct table *table) {
    int code = table->codes[bits->window >> (64 - CODE_BITS)];
    fill(bits);
    return SELDOM(!code) ? long_code(bits->window, table) : code;
}

#endif
