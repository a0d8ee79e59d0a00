#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Change a body in some places as its structure suggests; returns its new size, at most `room`.
 * Pieces may come from `other`. The same seed makes the same. */
size_t mutate(uint8_t *body, size_t size, size_t room, const uint8_t *other, size_t other_size,
              uint64_t seed);

/* 1: whole, 0: not, -1: too large to be tried. */
int libjpeg_calls_whole(const uint8_t *body, size_t size);

#endif
