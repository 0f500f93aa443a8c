/**
 * @file Converts the values of a RoAd site to cosines and sines, and back: α = √(c² + s²), θ = atan2(s, c).
 *
 * road_4 has separate α and θ for the cosine and for the sine of an output; converting back, the other part of each is zero.
 */
import { hostTensor } from "../../../runtime/host-tensor.ts";
import type { SiteState } from "../../algebra/contract.ts";
import type { SiteTensors } from "../../sites/site.ts";
import { type RoadLayout, toAllGroups } from "./coefficients.ts";

export const THETA = "road_theta";
export const ALPHA = "road_alpha";
/** The values of pairs that are not trained. */
export const START = { [THETA]: 0, [ALPHA]: 1 };

/** The indices among stored values for the cosine and the sine with an index in `c` and `s`; for road_4 in halves of 2g. */
function placesOf(index: number, { variant, groupSize: g }: RoadLayout): readonly [number, number] {
  if (variant !== "road_4") return [index, index];
  const start = 2 * g * Math.floor(index / g) + (index % g);
  return [start, start + g];
}

/** A cosine and a sine of each output, or of each pair. */
export interface Coefficients<A> {
  readonly c: A;
  readonly s: A;
}

/** Computes cosines and sines from the values of all groups: for all outputs, or for road_1 for all pairs; new arrays. */
function toCoefficients(
  theta: Float32Array,
  alpha: Float32Array,
  layout: RoadLayout,
): Coefficients<Float64Array> {
  const length = layout.variant === "road_4" ? theta.length / 2 : theta.length;
  const [c, s] = [new Float64Array(length), new Float64Array(length)];
  for (let i = 0; i < length; i++) {
    const [ofCos, ofSin] = placesOf(i, layout);
    c[i] = alpha[ofCos]! * Math.cos(theta[ofCos]!);
    s[i] = alpha[ofSin]! * Math.sin(theta[ofSin]!);
  }
  return { c, s };
}

/** Computes those of a site as stored in an adapter's file. */
export function coefficientsIn({ tensors, options }: SiteState<RoadLayout>): Coefficients<Float64Array> {
  return toCoefficients(tensors[THETA]!.data, tensors[ALPHA]!.data, options);
}

/** Computes the cosine and sine of each output from trained values; new arrays. */
export function coefficientsOf(
  theta: Float32Array,
  alpha: Float32Array,
  layout: RoadLayout,
): Coefficients<Float32Array> {
  const { variant, width, groupSize: g } = layout;
  const whole = (trained: Float32Array, suffix: typeof THETA | typeof ALPHA): Float32Array =>
    toAllGroups(trained, START[suffix], layout);
  const { c, s } = toCoefficients(whole(theta, THETA), whole(alpha, ALPHA), layout);
  const place = (k: number): number =>
    variant === "road_1" ? (Math.floor(k / g) * g) / 2 + (k % (g / 2)) : k;
  const ofOutputs = (numbers: Float64Array): Float32Array =>
    Float32Array.from({ length: width }, (_, k) => numbers[place(k)]!);
  return { c: ofOutputs(c), s: ofOutputs(s) };
}

/** Makes the tensors of a site with these cosines and sines, in the form of `like`. */
export function tensorsFrom(
  c: Float64Array,
  s: Float64Array,
  { tensors, options }: SiteState<RoadLayout>,
): SiteTensors {
  const { shape, data } = tensors[THETA]!;
  const [theta, alpha] = [new Float32Array(data.length), new Float32Array(data.length)];
  const put = (at: number, across: number, up: number): void => {
    theta[at] = Math.atan2(up, across);
    alpha[at] = Math.hypot(up, across);
  };
  for (let i = 0; i < c.length; i++) {
    const [ofCos, ofSin] = placesOf(i, options);
    if (ofCos === ofSin) put(ofCos, c[i]!, s[i]!);
    else {
      put(ofCos, c[i]!, 0);
      put(ofSin, 0, s[i]!);
    }
  }
  return { [THETA]: hostTensor("float32", shape, theta), [ALPHA]: hostTensor("float32", shape, alpha) };
}
