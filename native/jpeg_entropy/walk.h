/* Whether a JPEG is whole, told by walking its entropy-coded data without decoding the picture.
 *
 * A file that was cut, or damaged in the middle, shows where its Huffman codes stop making sense:
 * the codes of a scan must give each block its coefficients, and end where the next marker is.
 * That needs no coefficient's value, and of a progressive picture only which ones are not zero,
 * so it takes a third to two thirds of what libjpeg-turbo takes to decode (docs/performance.md).
 *
 * The answer is "whole" or "cannot say", and "whole" only where libjpeg would decode the picture
 * without a warning, but for those of application segments, which are of no account to the codes.
 * What is damaged, unusual or not known here is for libjpeg to judge, if it takes the header.
 *
 * Sections named are those of ITU-T T.81.
 */

#ifndef WALK_H
#define WALK_H

#include <stddef.h>
#include <stdint.h>

enum {
    BLOCK = 64,         /* coefficients of a block */
    COMPONENTS = 4,     /* most components of a scan (B.2.3), and of a picture here */
    MCU_BLOCKS = 10,    /* most blocks of an MCU of several components (B.2.3) */
    SCANS = 500, PIXELS_OF_SCANS = 2000000000, /* most of them: more is an attack on time */
    LONGEST_SIDE = 65500, /* of a picture, in pixels; more is too much for libjpeg */
    TABLES = 4,         /* tables of a kind (B.2.4) */
    LONGEST_CODE = 16,
    CODE_BITS = 10,     /* the longest codes that are decoded by one look into a table */
    STEP_BITS = 11,     /* the bits by which two symbols are looked up at once */
    END_OF_BLOCK = 128, /* what a step adds to a coefficient's index where the block ends */
    PADDING = 8192,     /* bytes behind the data: more than an MCU can read, 10 x 64 x 31 bits */
};

/* A Huffman table (F.2.2.3). */
struct table {
    int defined;
    uint8_t symbols[256];
    int32_t last_code[LONGEST_CODE + 1];    /* of each length; -1: there is none */
    int32_t first_symbol[LONGEST_CODE + 1]; /* a symbol's index, less its code */
    uint16_t codes[1 << CODE_BITS];         /* length << 8 | symbol; 0: no code so short */
};

/* What the next one or two symbols of a sequential block amount to, with the bits of their values:
 * coefficients << 8 | bits; 0: a long code. */
struct steps {
    int made;                               /* of the table that came last */
    uint16_t by_bits[1 << STEP_BITS];
};

struct component {
    uint8_t id;
    uint8_t across, down;       /* blocks of an MCU: the sampling factors */
    uint8_t quantization;       /* its table */
    uint8_t dc, ac;             /* the Huffman tables of the present scan */
    uint32_t blocks;            /* of a scan of this component alone (A.2.2) */
    uint64_t *nonzero;          /* of a progressive picture: which coefficients, for each block */
    int8_t lowest_bit[BLOCK];   /* that a scan has brought, by coefficient; -1: none has */
};

struct scan {
    int count;
    struct component *components[COMPONENTS];
    int first, last;            /* coefficients: the band */
    int high, low;              /* the lowest bit that came before, and that this scan brings */
    uint32_t mcus;
};

/* The bits of what stands between two markers. */
struct bits {
    uint64_t window;            /* the next bits, the first of them highest */
    int held;                   /* bits of the window that are taken from the data */
    const uint8_t *next, *start;
    int64_t count;              /* bits of the data */
};

struct picture {
    const uint8_t *next, *end;  /* what of the file is still to be read */
    int progressive;
    int count;                  /* components; 0: the frame has not come */
    int scans, most_scans;      /* that have come, and that may */
    uint32_t mcus;              /* of a scan of several components */
    uint32_t interval;          /* MCUs between two restart markers; 0: there are none */
    int quantization;           /* a bit for each quantization table that has come */
    struct component components[COMPONENTS];
    struct table dc[TABLES], ac[TABLES];
    struct steps steps[TABLES]; /* of the tables `ac` */
    uint8_t *data;              /* what stands between two markers, unstuffed, and PADDING */
};

/* tables.c */
int read_huffman_tables(struct picture *picture, const uint8_t *payload, int size);
int read_quantization_tables(struct picture *picture, const uint8_t *payload, int size);
void make_steps(struct steps *steps, const struct table *table);

/* scans.c: whether `mcus` MCUs from the one numbered `from` make sense; takes their bits. */
int walk_mcus(const struct picture *picture, const struct scan *scan, struct bits *bits,
              uint32_t from, uint32_t mcus);

/* walk.c: 1 where the JPEG is whole, 0 where that cannot be said. */
int jpeg_is_whole(const uint8_t *body, size_t size);

#endif
