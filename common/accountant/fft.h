/**
 * @file fft.h
 * Discrete Fourier transform of a power of two, in double: Stockham's self-sorting form, radix 4.
 * Debian's kissfft has no double build and FFTW's licence does not fit.
 */
#ifndef COMMON_ACCOUNTANT_FFT_H
#define COMMON_ACCOUNTANT_FFT_H

#include <stddef.h>

/** Laid out as C's and everybody's complex numbers are. */
struct complex {
    double re, im;
};

/** Roots of unity for transforms of n: exp(-2 pi i k / n), k < n.
 *  @param n a power of two @param[out] root [n] */
void fft_roots(struct complex *root, size_t n);

/**
 * X[k] = sum_j x[j] exp(-2 pi i j k / n), in place. The inverse without its 1/n: conjugate, transform,
 * conjugate. Error about 1e-16 log2 n of the root of the mean square.
 * @param[in,out] x [n] @param work [n] @param root [n] of fft_roots
 */
void fft(struct complex *x, struct complex *work, const struct complex *root, size_t n);

#endif
