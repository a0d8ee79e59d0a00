/* Walks a JPEG from marker to marker. Each function returns 0 where it cannot say more. */

#include "bits.h"

#include <stdlib.h>

enum {
    SOF0 = 0xC0, SOF1 = 0xC1, SOF2 = 0xC2, DHT = 0xC4, RST0 = 0xD0, SOI = 0xD8, EOI = 0xD9,
    SOS = 0xDA, DQT = 0xDB, DRI = 0xDD, APP0 = 0xE0, APP15 = 0xEF, COM = 0xFE,
};

static uint32_t two_bytes(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }

static uint32_t divided(uint32_t number, uint32_t by) { return (number + by - 1) / by; }

/* Copy what stands before the next marker, without the zeros that are stuffed in (B.1.1.5). */
static int read_data(struct picture *picture, struct bits *bits) {
    uint8_t *to = picture->data;
    for (;;) {
        const uint8_t *next = picture->next;
        const uint8_t *marker = memchr(next, 0xFF, (size_t)(picture->end - next));
        if (!marker || marker + 1 == picture->end)
            return 0;
        memcpy(to, next, (size_t)(marker - next));
        to += marker - next;
        picture->next = marker;
        if (marker[1])
            break;
        *to++ = 0xFF;
        picture->next += 2;
    }
    *bits = (struct bits){
        .next = picture->data, .start = picture->data, .count = 8 * (to - picture->data)};
    return 1;
}

/* The MCUs of a scan, from restart marker to restart marker (E.2.4). */
static int walk_scan(struct picture *picture, const struct scan *scan) {
    uint32_t done = 0;
    for (int restart = 0;; restart = (restart + 1) % 8) {
        uint32_t mcus = scan->mcus - done;
        if (picture->interval && picture->interval < mcus)
            mcus = picture->interval;
        struct bits bits;
        if (!read_data(picture, &bits) || !walk_mcus(picture, scan, &bits, done, mcus))
            return 0;
        if (left(&bits) < 0 || left(&bits) > 7)
            return 0;
        done += mcus;
        if (done == scan->mcus)
            return 1;
        if (picture->next[1] != RST0 + restart)
            return 0;
        picture->next += 2;
    }
}

/* Note which bits of a component's coefficients a scan brings; returns 0 if they are not due. */
static int is_due(const struct scan *scan, struct component *component) {
    if (scan->first && component->lowest_bit[0] < 0)
        return 0;
    for (int k = scan->first; k <= scan->last; k++) {
        if (component->lowest_bit[k] != (scan->high ? scan->high : -1))
            return 0;
        component->lowest_bit[k] = (int8_t)scan->low;
    }
    return 1;
}

/* See that the tables for a component have come, and have its steps made. */
static int prepare_tables(struct picture *picture, const struct scan *scan,
                          const struct component *component) {
    if (component->dc >= TABLES || component->ac >= TABLES)
        return 0;
    if (!(picture->quantization >> component->quantization & 1))
        return 0;
    if (scan->first == 0 && !scan->high && !picture->dc[component->dc].defined)
        return 0;
    if (scan->last && !picture->ac[component->ac].defined)
        return 0;
    struct steps *steps = &picture->steps[component->ac];
    if (!picture->progressive && !steps->made) /* components may share a table */
        make_steps(steps, &picture->ac[component->ac]);
    return 1;
}

/* Which coefficients a scan may have, and how exact (G.1.1.1). */
static int has_sense(const struct picture *picture, const struct scan *scan) {
    if (!picture->progressive)
        return scan->first == 0 && scan->last == BLOCK - 1 && !scan->high && !scan->low;
    if (scan->high ? scan->low != scan->high - 1 : scan->low > 13)
        return 0;
    if (scan->first == 0)
        return scan->last == 0;
    return scan->count == 1 && scan->first <= scan->last && scan->last < BLOCK;
}

/* B.2.3; components come in the order of the frame. */
static int read_scan(struct picture *picture, const uint8_t *payload, int size) {
    struct scan scan = {.count = size ? payload[0] : 0};
    if (scan.count < 1 || scan.count > picture->count || size != 4 + 2 * scan.count)
        return 0;
    const uint8_t *band = payload + 1 + 2 * scan.count;
    scan.first = band[0];
    scan.last = band[1];
    scan.high = band[2] >> 4;
    scan.low = band[2] & 15;
    if (!has_sense(picture, &scan))
        return 0;
    struct component *component = picture->components;
    const struct component *end = component + picture->count;
    int blocks = 0;
    for (int i = 0; i < scan.count; i++) {
        const uint8_t *given = payload + 1 + 2 * i;
        while (component < end && component->id != given[0])
            component++;
        if (component == end)
            return 0;
        component->dc = given[1] >> 4;
        component->ac = given[1] & 15;
        if (!is_due(&scan, component) || !prepare_tables(picture, &scan, component))
            return 0;
        blocks += component->across * component->down;
        scan.components[i] = component++;
    }
    if (scan.count > 1 && blocks > MCU_BLOCKS)
        return 0;
    scan.mcus = scan.count == 1 ? scan.components[0]->blocks : picture->mcus;
    return ++picture->scans <= picture->most_scans && walk_scan(picture, &scan);
}

/* B.2.2; returns 0 for what libjpeg refuses, too: larger pictures, chroma that has no whole number of
 * the largest component's samples. */
static int read_frame(struct picture *picture, const uint8_t *payload, int size, int progressive) {
    if (picture->count || size < 6 || payload[0] != 8)
        return 0;
    uint32_t height = two_bytes(payload + 1), width = two_bytes(payload + 3), across = 0, down = 0;
    int count = payload[5];
    if (!width || !height || width > LONGEST_SIDE || height > LONGEST_SIDE)
        return 0;
    if (!count || count > COMPONENTS || size != 6 + 3 * count)
        return 0;
    picture->most_scans = (int)(PIXELS_OF_SCANS / (width * (uint64_t)height));
    if (picture->most_scans > SCANS)
        picture->most_scans = SCANS;
    picture->count = count;
    picture->progressive = progressive;
    for (int i = 0; i < count; i++) {
        struct component *component = &picture->components[i];
        const uint8_t *given = payload + 6 + 3 * i;
        component->id = given[0];
        component->across = given[1] >> 4;
        component->down = given[1] & 15;
        component->quantization = given[2];
        if (given[2] >= TABLES || component->across > 4 || component->down > 4)
            return 0;
        across = component->across > across ? component->across : across;
        down = component->down > down ? component->down : down;
        memset(component->lowest_bit, -1, sizeof component->lowest_bit);
    }
    for (int i = 0; i < count; i++) {
        struct component *component = &picture->components[i];
        if (!component->across || !component->down)
            return 0;
        if (across % component->across || down % component->down)
            return 0;
        component->blocks = divided(width * component->across, 8 * across) *
                            divided(height * component->down, 8 * down);
        if (progressive && !(component->nonzero = calloc(component->blocks, sizeof(uint64_t))))
            return 0;
    }
    picture->mcus = divided(width, 8 * across) * divided(height, 8 * down);
    return 1;
}

static int read_segment(struct picture *picture, int marker, const uint8_t *payload, int size) {
    switch (marker) {
    case SOF0: case SOF1: case SOF2:
        return read_frame(picture, payload, size, marker == SOF2);
    case DHT:
        return read_huffman_tables(picture, payload, size);
    case DQT:
        return read_quantization_tables(picture, payload, size);
    case DRI:
        picture->interval = size == 2 ? two_bytes(payload) : 0;
        return size == 2;
    case SOS:
        return read_scan(picture, payload, size);
    default: /* libjpeg looks into some between scans, too */
        return marker == COM || (marker >= APP0 && marker <= APP15 && !picture->scans);
    }
}

/* Whether every bit of every coefficient has come: a file may be cut between two scans. */
static int is_complete(const struct picture *picture) {
    for (int i = 0; i < picture->count; i++)
        for (int k = 0; k < BLOCK; k++)
            if (picture->components[i].lowest_bit[k])
                return 0;
    return picture->count > 0;
}

static int walk(struct picture *picture) {
    for (;;) {
        const uint8_t *at = picture->next;
        if (picture->end - at < 2 || at[0] != 0xFF)
            return 0;
        if (at[1] == EOI)
            return is_complete(picture);
        if (picture->end - at < 4)
            return 0;
        int size = (int)two_bytes(at + 2) - 2;
        if (size < 0 || picture->end - at < 4 + size)
            return 0;
        picture->next = at + 4 + size;
        if (!read_segment(picture, at[1], at + 4, size))
            return 0;
    }
}

int jpeg_is_whole(const uint8_t *body, size_t size) {
    if (size < 2 || body[0] != 0xFF || body[1] != SOI)
        return 0;
    struct picture *picture = calloc(1, sizeof *picture);
    uint8_t *data = calloc(1, size + PADDING);
    int whole = 0;
    if (picture && data) {
        picture->next = body + 2;
        picture->end = body + size;
        picture->data = data;
        whole = walk(picture);
        for (int i = 0; i < COMPONENTS; i++)
            free(picture->components[i].nonzero);
    }
    free(data);
    free(picture);
    return whole;
}
