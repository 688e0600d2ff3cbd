/* The least that a scan costs: predict, gate over a grid, update once. One pass, nothing else.
 *
 * Tracks are struct-of-arrays: 14 rows of n doubles: east, north m, their rates m/s, and the upper
 * triangle of their covariance by rows (ee en eE eN nn nE nN EE EN NN, capitals are rates).
 * No association between tracks, no existence, no births and deaths, no output: each track takes
 * the detection in its gate that is nearest to it, whoever else takes it too.
 */
#include <math.h>
#include <string.h>

#define GATE 16.0 /* squared Mahalanobis distance */

static int clipped(double value, int last) {
    return value < 0.0 ? 0 : value > last ? last : (int)value;
}

/* m detections (z_e, z_n) of variance r; the grid has side * side cells of `cell` m from `corner`
 * in both axes; begin (side * side + 1) and order (m) are room to work in, z (2 m) too.
 * Returns how many tracks were updated. */
long floor_scan(long n, double *restrict tracks, long m, const double *restrict z_e,
                const double *restrict z_n, double r, double dt, double q, double corner,
                double cell, int side, int *restrict begin, int *restrict order,
                double *restrict z) {
    double *restrict x0 = tracks, *restrict x1 = tracks + n, *restrict x2 = tracks + 2 * n,
           *restrict x3 = tracks + 3 * n, *restrict p00 = tracks + 4 * n,
           *restrict p01 = tracks + 5 * n, *restrict p02 = tracks + 6 * n,
           *restrict p03 = tracks + 7 * n, *restrict p11 = tracks + 8 * n,
           *restrict p12 = tracks + 9 * n, *restrict p13 = tracks + 10 * n,
           *restrict p22 = tracks + 11 * n, *restrict p23 = tracks + 12 * n,
           *restrict p33 = tracks + 13 * n;
    const long cells = (long)side * side;
    const double q3 = q * dt * dt * dt / 3.0, q2 = q * dt * dt / 2.0, q1 = q * dt;
    long updated = 0;

    /* The grid: detections in order of their cells (counting sort). */
    memset(begin, 0, (size_t)(cells + 1) * sizeof *begin);
    for (long j = 0; j < m; j++) {
        int row = clipped((z_n[j] - corner) / cell, side - 1);
        int column = clipped((z_e[j] - corner) / cell, side - 1);
        order[j] = row * side + column;
        begin[order[j] + 1]++;
    }
    for (long k = 0; k < cells; k++) begin[k + 1] += begin[k];
    for (long j = m - 1; j >= 0; j--) {
        int at = --begin[order[j] + 1];
        z[2 * at] = z_e[j];
        z[2 * at + 1] = z_n[j];
    }
    /* Now begin[k + 1] is where cell k begins, and the next cell's beginning is its end. */

    for (long i = 0; i < n; i++) {
        double e = x0[i] + dt * x2[i], no = x1[i] + dt * x3[i];
        double a02 = p02[i] + dt * p22[i], a03 = p03[i] + dt * p23[i];
        double a12 = p12[i] + dt * p23[i], a13 = p13[i] + dt * p33[i];
        double a00 = p00[i] + dt * (p02[i] + a02) + q3, a01 = p01[i] + dt * (p03[i] + a12);
        double a11 = p11[i] + dt * (p13[i] + a13) + q3;
        double a22 = p22[i] + q1, a33 = p33[i] + q1, a23 = p23[i];
        a02 += q2;
        a13 += q2;

        double s00 = a00 + r, s11 = a11 + r, det = s00 * s11 - a01 * a01;
        double i00 = s11 / det, i01 = -a01 / det, i11 = s00 / det;
        double reach_e = sqrt(GATE * s00), reach_n = sqrt(GATE * s11), best = GATE, de = 0, dn = 0;
        int from_row = clipped((no - reach_n - corner) / cell, side - 1);
        int to_row = clipped((no + reach_n - corner) / cell, side - 1);
        int from_column = clipped((e - reach_e - corner) / cell, side - 1);
        int to_column = clipped((e + reach_e - corner) / cell, side - 1);
        int found = 0;
        for (int row = from_row; row <= to_row; row++) {
            long first = (long)row * side + from_column, last = (long)row * side + to_column;
            long stop = last + 1 < cells ? begin[last + 2] : m;
            for (long k = begin[first + 1]; k < stop; k++) {
                double ve = z[2 * k] - e, vn = z[2 * k + 1] - no;
                double d2 = i00 * ve * ve + 2.0 * i01 * ve * vn + i11 * vn * vn;
                if (d2 < best) {
                    best = d2;
                    de = ve;
                    dn = vn;
                    found = 1;
                }
            }
        }
        double v2 = x2[i], v3 = x3[i];
        if (found) {
            double k00 = a00 * i00 + a01 * i01, k01 = a00 * i01 + a01 * i11;
            double k10 = a01 * i00 + a11 * i01, k11 = a01 * i01 + a11 * i11;
            double k20 = a02 * i00 + a12 * i01, k21 = a02 * i01 + a12 * i11;
            double k30 = a03 * i00 + a13 * i01, k31 = a03 * i01 + a13 * i11;
            e += k00 * de + k01 * dn;
            no += k10 * de + k11 * dn;
            v2 += k20 * de + k21 * dn;
            v3 += k30 * de + k31 * dn;
            a22 -= k20 * a02 + k21 * a12;
            a23 -= k20 * a03 + k21 * a13;
            a33 -= k30 * a03 + k31 * a13;
            double b02 = a02 - k00 * a02 - k01 * a12, b03 = a03 - k00 * a03 - k01 * a13;
            double b12 = a12 - k10 * a02 - k11 * a12, b13 = a13 - k10 * a03 - k11 * a13;
            double b00 = a00 - k00 * a00 - k01 * a01, b01 = a01 - k00 * a01 - k01 * a11;
            a11 -= k10 * a01 + k11 * a11;
            a00 = b00, a01 = b01, a02 = b02, a03 = b03, a12 = b12, a13 = b13;
            updated++;
        }
        x0[i] = e, x1[i] = no, x2[i] = v2, x3[i] = v3;
        p00[i] = a00, p01[i] = a01, p02[i] = a02, p03[i] = a03, p11[i] = a11;
        p12[i] = a12, p13[i] = a13, p22[i] = a22, p23[i] = a23, p33[i] = a33;
    }
    return updated;
}
