/**
 * @file The numbers of a RoAd site as cosines and sines, and back: α = √(c² + s²), θ = atan2(s, c).
 *
 * road_4 has α and θ of their own for the cosine and for the sine of an output: there the other part is zero.
 */
import { hostTensor } from "../../../runtime/host-tensor.ts";
import type { SiteState } from "../../algebra/contract.ts";
import type { SiteTensors } from "../../sites/site.ts";
import type { RoadLayout } from "./coefficients.ts";

export const THETA = "road_theta";
export const ALPHA = "road_alpha";

/** Where the cosine and the sine of a number of `c` and `s` stand among the stored ones: of road_4 in halves of 2g. */
function placesOf(index: number, { variant, groupSize: g }: RoadLayout): readonly [number, number] {
  if (variant !== "road_4") return [index, index];
  const start = 2 * g * Math.floor(index / g) + (index % g);
  return [start, start + g];
}

/** The cosines and sines of all outputs, of road_1 of all pairs; new arrays. */
export function coefficientsIn<S extends RoadLayout>({
  tensors,
  options,
}: SiteState<S>): {
  readonly c: Float64Array;
  readonly s: Float64Array;
} {
  const [theta, alpha] = [tensors[THETA]!.data, tensors[ALPHA]!.data];
  const length = options.variant === "road_4" ? theta.length / 2 : theta.length;
  const [c, s] = [new Float64Array(length), new Float64Array(length)];
  for (let i = 0; i < length; i++) {
    const [ofCos, ofSin] = placesOf(i, options);
    c[i] = alpha[ofCos]! * Math.cos(theta[ofCos]!);
    s[i] = alpha[ofSin]! * Math.sin(theta[ofSin]!);
  }
  return { c, s };
}

/** The tensors of a site, of the form of `like`, that have these cosines and sines. */
export function tensorsFrom<S extends RoadLayout>(
  c: Float64Array,
  s: Float64Array,
  { tensors, options }: SiteState<S>,
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
