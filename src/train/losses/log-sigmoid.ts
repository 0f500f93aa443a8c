/** @file The logistic function and its logarithm, exact at both ends of the line. */

/** σ(x) = 1 / (1 + e⁻ˣ) */
export function sigmoid(x: number): number {
  const small = Math.exp(-Math.abs(x));
  return (x >= 0 ? 1 : small) / (1 + small);
}

/** log σ(x), near x where σ(x) is 0 in floating point. */
export function logSigmoid(x: number): number {
  return Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
}

/** log(1 - eˣ) of x < 0, with the form that keeps its digits on either side of log ½. */
export function log1mExp(x: number): number {
  return x > -Math.LN2 ? Math.log(-Math.expm1(x)) : Math.log1p(-Math.exp(x));
}
