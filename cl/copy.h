/* Copies and sums of float arrays. */

/* to[box] = from[box]: a box of up to five dimensions, walked through each side with steps of its
 * own. Steps may be negative or 0; the host merges dimensions and puts the one with the smallest
 * step through `to` last.
 *
 *   from, to  element `at` is where the box starts on that side
 *
 * One work-item: one element. Global size: size[4] x size[3] x size[2] size[1] size[0]. Few boxes
 * have more than three dimensions, and the others do without the divisions.
 */
typedef struct copy_walk {
    int size[5];
    int from_at;
    int from_step[5];
    int to_at;
    int to_step[5];
} copy_walk;

__kernel void strided_copy(__global const float *restrict from, __global float *restrict to,
                           const copy_walk w)
{
    const int x = get_global_id(0);
    const int y = get_global_id(1);
    int z = get_global_id(2);

    if (x >= w.size[4] || y >= w.size[3] || z >= w.size[2] * w.size[1] * w.size[0])
        return;

    int a = w.from_at + y * w.from_step[3] + x * w.from_step[4];
    int b = w.to_at + y * w.to_step[3] + x * w.to_step[4];

    if (w.size[1] * w.size[0] > 1) {
        const int rest = z / w.size[2];
        const int d1 = rest % w.size[1], d0 = rest / w.size[1];

        z -= rest * w.size[2];
        a += d0 * w.from_step[0] + d1 * w.from_step[1];
        b += d0 * w.to_step[0] + d1 * w.to_step[1];
    }
    to[b + z * w.to_step[2]] = from[a + z * w.from_step[2]];
}

/* y += x: joins the signals that several consumers send back to one producer.
 *
 *   x, y  [count]
 *
 * One work-item: one element.
 */
__kernel void add_into(__global const float *restrict x, __global float *restrict y,
                       const int count)
{
    const int i = get_global_id(0);

    if (i < count)
        y[i] += x[i];
}
