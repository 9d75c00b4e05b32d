/* Eight vectors of eight as a matrix, turned over its diagonal. */
#define TRANSPOSE8(a, b, c, d, e, f, g, h)                                                         \
    {                                                                                              \
        const float8 ab = PAIR_UP(a, b, s0, s1, s4, s5), ab2 = PAIR_UP(a, b, s2, s3, s6, s7);      \
        const float8 cd = PAIR_UP(c, d, s0, s1, s4, s5), cd2 = PAIR_UP(c, d, s2, s3, s6, s7);      \
        const float8 ef = PAIR_UP(e, f, s0, s1, s4, s5), ef2 = PAIR_UP(e, f, s2, s3, s6, s7);      \
        const float8 gh = PAIR_UP(g, h, s0, s1, s4, s5), gh2 = PAIR_UP(g, h, s2, s3, s6, s7);      \
        const float8 p = FIRSTS(ab, cd), q = SECONDS(ab, cd);                                      \
        const float8 r = FIRSTS(ab2, cd2), t_ = SECONDS(ab2, cd2);                                 \
        const float8 p2 = FIRSTS(ef, gh), q2 = SECONDS(ef, gh);                                    \
        const float8 r2 = FIRSTS(ef2, gh2), t2 = SECONDS(ef2, gh2);                                \
        a = (float8)(p.lo, p2.lo);                                                                 \
        b = (float8)(q.lo, q2.lo);                                                                 \
        c = (float8)(r.lo, r2.lo);                                                                 \
        d = (float8)(t_.lo, t2.lo);                                                                \
        e = (float8)(p.hi, p2.hi);                                                                 \
        f = (float8)(q.hi, q2.hi);                                                                 \
        g = (float8)(r.hi, r2.hi);                                                                 \
        h = (float8)(t_.hi, t2.hi);                                                                \
    }
#define PAIR_UP(x, y, i, j, k, l) (float8)(x.i, y.i, x.j, y.j, x.k, y.k, x.l, y.l)
#define FIRSTS(x, y)              (float8)(x.s01, y.s01, x.s45, y.s45)
#define SECONDS(x, y)             (float8)(x.s23, y.s23, x.s67, y.s67)
