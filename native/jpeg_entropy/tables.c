/* The tables of a JPEG: Huffman tables made ready for looking up, and which others are there. */

#include "walk.h"

#include <string.h>

/* Enter a code of a length with its symbol for all bits that may follow it. */
static void enter(struct table *table, uint32_t code, int length, uint8_t symbol) {
    int free_bits = CODE_BITS - length;
    for (uint32_t following = 0; free_bits >= 0 && following < 1u << free_bits; following++)
        table->codes[(code << free_bits) + following] = (uint16_t)(length << 8 | symbol);
}

/* Codes count up within a length and double with it (C.2), and none is all ones (B.2.4.2, where
 * libjpeg insists on it); returns 0 where they do not fit. */
static int make_table(struct table *table, const uint8_t *counts, const uint8_t *symbols,
                      int total) {
    memset(table, 0, sizeof *table);
    memcpy(table->symbols, symbols, (size_t)total);
    int32_t code = 0;
    int index = 0;
    for (int length = 1; length <= LONGEST_CODE; length++, code <<= 1) {
        int count = counts[length - 1];
        if (count && code + count >= 1 << length)
            return 0;
        table->first_symbol[length] = index - code;
        for (; count; count--, code++, index++)
            enter(table, (uint32_t)code, length, symbols[index]);
        table->last_code[length] = counts[length - 1] ? code - 1 : -1;
    }
    table->defined = 1;
    return 1;
}

/* B.2.4.2 */
int read_huffman_tables(struct picture *picture, const uint8_t *payload, int size) {
    while (size > LONGEST_CODE) {
        int kind = payload[0] >> 4, place = payload[0] & 15, total = 0;
        for (int length = 1; length <= LONGEST_CODE; length++)
            total += payload[length];
        int used = 1 + LONGEST_CODE + total;
        if (kind > 1 || place >= TABLES || total > 256 || used > size)
            return 0;
        struct table *table = kind ? &picture->ac[place] : &picture->dc[place];
        for (int i = 0; kind == 0 && i < total; i++)
            if (payload[1 + LONGEST_CODE + i] > 15) /* no size of a DC difference */
                return 0;
        if (!make_table(table, payload + 1, payload + 1 + LONGEST_CODE, total))
            return 0;
        if (kind)
            picture->steps[place].made = 0;
        payload += used;
        size -= used;
    }
    return size == 0;
}

/* B.2.4.1; the values are of no account here. */
int read_quantization_tables(struct picture *picture, const uint8_t *payload, int size) {
    while (size > 0) {
        int bytes = payload[0] >> 4, place = payload[0] & 15;
        int used = 1 + BLOCK * (bytes + 1);
        if (bytes > 1 || place >= TABLES || used > size)
            return 0;
        picture->quantization |= 1 << place;
        payload += used;
        size -= used;
    }
    return size == 0;
}

/* The step that the first symbol of these bits is; `length` gets that of its code. */
static int single_step(const struct table *table, uint32_t bits, int *length) {
    int code = table->codes[bits >> (STEP_BITS - CODE_BITS)];
    if (!code)
        return 0;
    int run = (code & 255) >> 4, value_bits = code & 15;
    *length = code >> 8;
    int coefficients = value_bits || run == 15 ? run + 1 : END_OF_BLOCK;
    return coefficients << 8 | (*length + value_bits);
}

/* Two steps are put together where the second one's code is among the bits as well. */
void make_steps(struct steps *steps, const struct table *table) {
    for (uint32_t bits = 0; bits < 1 << STEP_BITS; bits++) {
        int length, first = single_step(table, bits, &length), used = first & 255;
        steps->by_bits[bits] = (uint16_t)first;
        if (!first || first >> 8 == END_OF_BLOCK || used >= STEP_BITS)
            continue;
        int second = single_step(table, bits << used & ((1 << STEP_BITS) - 1), &length);
        if (second && used + length <= STEP_BITS)
            steps->by_bits[bits] = (uint16_t)(first + second);
    }
    steps->made = 1;
}
