/**
 * @file The numbers of a RoAd site as cosines and sines, and back: α = √(c² + s²), θ = atan2(s, c).
 *
 * road_4 has α and θ of their own for the cosine and for the sine of an output: there the other part is zero.
 */
import { hostTensor } from "../../../runtime/host-tensor.ts";
import type { SiteState } from "../../algebra/contract.ts";
import type { SiteTensors } from "../../sites/site.ts";
import { type RoadLayout, toAllGroups } from "./coefficients.ts";

export const THETA = "road_theta";
export const ALPHA = "road_alpha";
/** What the values are that stand for pairs which are not trained. */
export const START = { [THETA]: 0, [ALPHA]: 1 };

/** Where the cosine and the sine of a number of `c` and `s` stand among the stored ones: of road_4 in halves of 2g. */
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

/** The cosines and sines that values of all groups stand for: of all outputs, of road_1 of all pairs; new arrays. */
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

/** Those of a site that an adapter's file holds. */
export function coefficientsIn({ tensors, options }: SiteState<RoadLayout>): Coefficients<Float64Array> {
  return toCoefficients(tensors[THETA]!.data, tensors[ALPHA]!.data, options);
}

/** Cosine and sine of each output, from trained values; new arrays. */
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

/** The tensors of a site, of the form of `like`, that have these cosines and sines. */
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
