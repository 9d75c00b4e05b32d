/* The figures data set as a function: one labelled picture, with its object mask, from a seed and
 * an index. Writing files is the business of figures.c; how a picture is made is in the
 * figures_*.c files beside this header. */
#ifndef FIGURES_DRAW_H
#define FIGURES_DRAW_H

#include <stdint.h>

enum { FIGURES_SIZE = 96, FIGURES_CLASSES = 10 };

/* Draws picture `index` (0 or more) of the endless set that `seed` names.
 *
 *   rgb    [FIGURES_SIZE][FIGURES_SIZE][3]   0-255, the caller's
 *   mask   [FIGURES_SIZE][FIGURES_SIZE]      share of the pixel that the object covers, 0-255
 *   label  0 .. FIGURES_CLASSES-1; always index modulo FIGURES_CLASSES, so any run is balanced
 *
 * All arithmetic is on integers: the bytes depend on (seed, index) alone, not on the compiler, its
 * options or the machine. No state is kept; threads may draw at the same time. */
void figures_draw(uint64_t seed, int index, uint8_t *rgb, uint8_t *mask, int *label);

/* Name of a class, lower case, usable in a file name; NULL when there is no such class. */
const char *figures_label_name(int label);

#endif
