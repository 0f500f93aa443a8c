/** @file The logistic function and its logarithm, exact for large positive and negative x. */

/** σ(x) = 1 / (1 + e⁻ˣ) */
export function sigmoid(x: number): number {
  const small = Math.exp(-Math.abs(x));
  return (x >= 0 ? 1 : small) / (1 + small);
}

/** log σ(x); it approaches x where σ(x) would underflow to 0. */
export function logSigmoid(x: number): number {
  return Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
}

/** log(1 - eˣ) for x < 0; on either side of log ½ the form that loses no digits. */
export function log1mExp(x: number): number {
  return x > -Math.LN2 ? Math.log(-Math.expm1(x)) : Math.log1p(-Math.exp(x));
}
