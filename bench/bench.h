/* The comparisons of the `deconv-bench` command: each returns an exit status. */
#ifndef DECONV_BENCH_BENCH_H
#define DECONV_BENCH_BENCH_H

/* Convolutions against oneDNN. */
int bench_conv(int argc, const char **argv);

#endif
