/* Walks the MCUs of each kind of scan: sequential (F.2), and the four of progressive pictures (G).
 *
 * Each function returns 0 where the codes make no sense, or where more bits were taken than there
 * are; that must be looked at often enough for PADDING. `bits` is copied, so that it can be kept
 * in registers.
 */

#include "bits.h"

#if defined __x86_64__ && !defined PORTABLE
#define CAN_DEPOSIT /* if the processor has BMI2, which is asked where it runs */
#endif

static int blocks_of_mcu(const struct scan *scan, int index) {
    const struct component *component = scan->components[index];
    return scan->count == 1 ? 1 : component->across * component->down;
}

/* Pass over a DC coefficient; returns the bits of its difference, or -1. */
INLINE int dc_size(struct bits *bits, const struct table *table) {
    int size = symbol(bits, table);
    if (size > 0)
        drop(bits, size);
    return size;
}

/* Pass over one symbol and its value; returns as `step` does, with 32 bits in the window. */
static __attribute__((noinline)) struct bits one_symbol(struct bits bits, const struct table *table,
                                                        int *index) {
    int run_size = symbol(&bits, table), size = run_size & 15;
    if (run_size < 0)
        *index = BLOCK + 1;
    else
        *index += size || run_size == 0xF0 ? (run_size >> 4) + 1 : END_OF_BLOCK;
    drop(&bits, size);
    need(&bits);
    return bits;
}

/* Pass over one or two symbols of the window, up to 26 bits; returns the index of the coefficient
 * that is next. BLOCK, or END_OF_BLOCK and more: the block is complete; between them: it makes no
 * sense. */
INLINE int step(struct bits *bits, const struct table *table, const struct steps *steps,
                int index) {
    int found = steps->by_bits[bits->window >> (64 - STEP_BITS)];
    int to = index + (found >> 8);
    /* A second symbol may be the next block's, and must then not be passed over. */
    if (SELDOM(!found || (to > BLOCK && to < END_OF_BLOCK) || to >= END_OF_BLOCK + BLOCK)) {
        *bits = one_symbol(*bits, table, &index);
        return index;
    }
    drop(bits, found & 255);
    return to;
}

static int sequential(const struct picture *picture, const struct scan *scan, struct bits *from,
                      uint32_t mcus) {
    struct bits bits = *from;
    for (; mcus; mcus--) {
        for (int i = 0; i < scan->count; i++) {
            const struct component *component = scan->components[i];
            const struct table *dc = &picture->dc[component->dc], *ac = &picture->ac[component->ac];
            const struct steps *steps = &picture->steps[component->ac];
            for (int blocks = blocks_of_mcu(scan, i); blocks; blocks--) {
                if (dc_size(&bits, dc) < 0)
                    return 0;
                int index = 1;
                while (index < BLOCK) {
                    fill(&bits); /* enough for two steps */
                    index = step(&bits, ac, steps, index);
                    if (index < BLOCK)
                        index = step(&bits, ac, steps, index);
                }
                if (index > BLOCK && index < END_OF_BLOCK)
                    return 0;
            }
        }
        if (left(&bits) < 0)
            return 0;
    }
    *from = bits;
    return 1;
}

static int dc_first(const struct picture *picture, const struct scan *scan, struct bits *from,
                    uint32_t mcus) {
    struct bits bits = *from;
    int64_t most = 0; /* that the differences may add up to: libjpeg has 31 bits for it */
    for (; mcus; mcus--) {
        for (int i = 0; i < scan->count; i++)
            for (int blocks = blocks_of_mcu(scan, i); blocks; blocks--) {
                int size = dc_size(&bits, &picture->dc[scan->components[i]->dc]);
                if (size < 0)
                    return 0;
                most += 1 << size;
            }
        if (left(&bits) < 0 || most > INT32_MAX)
            return 0;
    }
    *from = bits;
    return 1;
}

/* One bit a block: none need be looked at. */
static int dc_refine(const struct scan *scan, struct bits *bits, uint32_t mcus) {
    int64_t blocks = 0;
    for (int i = 0; i < scan->count; i++)
        blocks += blocks_of_mcu(scan, i);
    bits->count -= blocks * mcus;
    return left(bits) >= 0;
}

/* An end of blocks (G.1.2.2), whose code was seen: returns the blocks that follow without news. */
INLINE uint32_t end_of_blocks(struct bits *bits, int code) {
    int run = code >> 4 & 15;
    drop(bits, code >> 8);
    return (1u << run) + take(bits, run) - 1;
}

INLINE int is_end_of_blocks(int code) { return !(code & 15) && (code & 255) != 0xF0; }

static int ac_first(const struct picture *picture, const struct scan *scan, struct bits *from,
                    uint64_t *nonzero, uint32_t blocks) {
    struct bits bits = *from;
    const struct table *table = &picture->ac[scan->components[0]->ac];
    const int first = scan->first, last = scan->last;
    const int most_bits = 15 - scan->low; /* more would leave the 16 bits that libjpeg has */
    fill(&bits);
    for (uint64_t *const end = nonzero + blocks; nonzero < end; nonzero++) {
        uint64_t found = 0;
        uint32_t without = 0; /* blocks that follow and have nothing in this band (G.1.2.2) */
        for (int k = first; k <= last; k++) {
            int code = next_code(&bits, table), size = code & 15;
            if (SELDOM(code < 0))
                return 0;
            if (is_end_of_blocks(code)) {
                without = end_of_blocks(&bits, code);
                break;
            }
            drop(&bits, (code >> 8) + size);
            k += code >> 4 & 15;
            if (!size)
                continue;
            if (k > last || size > most_bits)
                return 0;
            found |= 1ull << k;
        }
        *nonzero |= found;
        if (left(&bits) < 0 || without >= end - nonzero)
            return 0;
        nonzero += without;
    }
    *from = bits;
    return 1;
}

static int ones(uint64_t set) {
    set -= set >> 1 & 0x5555555555555555;
    set = (set & 0x3333333333333333) + (set >> 2 & 0x3333333333333333);
    set = (set + (set >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (int)(set * 0x0101010101010101 >> 56);
}

/* Leave out the lowest members of a set, up to 15: where the processor has an instruction to put
 * bits in the places of a set (`deposits`), that does it; else without branches up to three. */
INLINE uint64_t without_lowest(uint64_t set, int count, int deposits) {
#ifdef CAN_DEPOSIT
    if (deposits) {
        uint64_t rest;
        __asm__("pdep %2, %1, %0" : "=r"(rest) : "r"(~0ull << count), "r"(set));
        return rest;
    }
#endif
    (void)deposits;
    for (; count > 3; count -= 4)
        for (int i = 0; i < 4; i++)
            set &= set - 1;
    uint64_t one = set & (set - 1), two = one & (one - 1), three = two & (two - 1);
    uint64_t even = count & 2 ? two : set, odd = count & 2 ? three : one;
    return count & 1 ? odd : even;
}

/* A block of `ac_refine`; `before`: its coefficients of the band that are not zero. Returns 0, or 1
 * with what becomes so in `found`, and in `without` the blocks that follow and have nothing new. */
INLINE int refine_block(struct bits *bits, const struct table *table, uint64_t band, int first,
                        int last, uint64_t before, uint64_t *found, uint32_t *without,
                        int deposits) {
    uint64_t zeros = ~before & band;
    for (int k = first; k <= last;) {
        int code = next_code(bits, table), run = code >> 4 & 15, size = code & 15;
        if (SELDOM(code < 0 || size > 1))
            return 0;
        if (is_end_of_blocks(code)) {
            *without = end_of_blocks(bits, code);
            fill(bits);
            skip(bits, ones(before & ~0ull << k));
            return 1;
        }
        zeros = without_lowest(zeros, run, deposits);
        if (SELDOM(!zeros)) { /* the rest of the band brings no new coefficient */
            skip(bits, (code >> 8) + ones(before & ~0ull << k));
            return !size;
        }
        int to = __builtin_ctzll(zeros);
        skip(bits, (code >> 8) + size + to - k - run);
        zeros &= zeros - 1;
        *found |= (uint64_t)size << to;
        k = to + 1;
    }
    return 1;
}

/* Coefficients that were not zero have a bit each, on the way to the next that becomes so
 * (G.1.2.3): how many of them there are follows from which ones they are. */
INLINE int refine(const struct picture *picture, const struct scan *scan, struct bits *from,
                  uint64_t *nonzero, uint32_t blocks, int deposits) {
    struct bits bits = *from;
    const struct table *table = &picture->ac[scan->components[0]->ac];
    const int first = scan->first, last = scan->last;
    const uint64_t band = ~0ull >> (BLOCK - 1 - last) & ~0ull << first;
    uint32_t without = 0;
    fill(&bits);
    for (; blocks; blocks--, nonzero++) {
        const uint64_t before = *nonzero & band;
        uint64_t found = 0;
        if (without) {
            without--;
            fill(&bits);
            skip(&bits, ones(before));
        } else if (!refine_block(&bits, table, band, first, last, before, &found, &without,
                                 deposits))
            return 0;
        *nonzero |= found;
        if (left(&bits) < 0)
            return 0;
    }
    *from = bits;
    return !without;
}

#ifdef CAN_DEPOSIT
/* AMD's processors before Zen 3 have the instruction, and take up to 300 cycles for it. */
static int deposits_fast(void) {
    if (!__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2"))
        return 0;
    if (__builtin_cpu_is("amd"))
        return !__builtin_cpu_is("amdfam15h") && !__builtin_cpu_is("amdfam17h");
    return __builtin_cpu_is("intel");
}

__attribute__((target("bmi,bmi2")))
static int refine_deposits(const struct picture *picture, const struct scan *scan,
                           struct bits *bits, uint64_t *nonzero, uint32_t blocks) {
    return refine(picture, scan, bits, nonzero, blocks, 1);
}
#endif

static int ac_refine(const struct picture *picture, const struct scan *scan, struct bits *bits,
                     uint64_t *nonzero, uint32_t blocks) {
#ifdef CAN_DEPOSIT
    if (deposits_fast())
        return refine_deposits(picture, scan, bits, nonzero, blocks);
#endif
    return refine(picture, scan, bits, nonzero, blocks, 0);
}

int walk_mcus(const struct picture *picture, const struct scan *scan, struct bits *bits,
              uint32_t from, uint32_t mcus) {
    if (!picture->progressive)
        return sequential(picture, scan, bits, mcus);
    if (scan->first == 0)
        return scan->high ? dc_refine(scan, bits, mcus) : dc_first(picture, scan, bits, mcus);
    uint64_t *nonzero = scan->components[0]->nonzero + from;
    return (scan->high ? ac_refine : ac_first)(picture, scan, bits, nonzero, mcus);
}
