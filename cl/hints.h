/* What a compiler or a processor would not find out. */

/* Before a loop over few values: making code for vectors of them is a fifth of compiling the
 * kernel, and gains nothing. */
#define SCALAR _Pragma("clang loop vectorize(disable)")

/* Brings a cache line nearer, to be read or to be written. Oclgrind 21.10 does not know the
 * builtin. */
#ifdef POCL_DEVICE_ADDRESS_BITS
#define ASK_FOR(p)         __builtin_prefetch(p)
#define ASK_FOR_WRITING(p) __builtin_prefetch(p, 1)
#else
#define ASK_FOR(p)         (void)(p)
#define ASK_FOR_WRITING(p) (void)(p)
#endif
