/**
 * @file Cosine and sine tables of rotary position embeddings, plain or scaled.
 *
 * Frequencies θ_i = base^(-2i/E); "llama3" scaling divides the slow ones by a factor and interpolates between
 * (the rule that Llama 3.1's configuration documents): wavelengths below original/high stay, above original/low are
 * divided.
 */
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";

/** How frequencies are scaled. */
export type RopeScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalMaxPositions: number;
    };

export interface RopeConfig {
  readonly theta: number;
  readonly headWidth: number;
  readonly scaling: RopeScaling;
}

/** The angle per position of each pair, E/2 numbers. */
export function ropeFrequencies({ theta, headWidth, scaling }: RopeConfig): number[] {
  return Array.from({ length: headWidth / 2 }, (_, i) => scale(theta ** ((-2 * i) / headWidth), scaling));
}

function scale(frequency: number, scaling: RopeScaling): number {
  if (scaling.kind === "none") return frequency;
  if (scaling.kind === "linear") return frequency / scaling.factor;
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
  const turns = (originalMaxPositions * frequency) / (2 * Math.PI);
  const share = Math.min(1, Math.max(0, (turns - low) / (high - low)));
  return (1 - share) * (frequency / factor) + share * frequency;
}

/** Makes the tables for positions 0 … numPositions-1, each [P, E/2] float32; fresh. */
export function ropeTables(
  config: RopeConfig,
  numPositions: number,
): { cos: HostTensor<"float32">; sin: HostTensor<"float32"> } {
  const frequencies = ropeFrequencies(config);
  const half = frequencies.length;
  const cos = new Float32Array(numPositions * half);
  const sin = new Float32Array(numPositions * half);
  for (let p = 0; p < numPositions; p++) {
    for (let i = 0; i < half; i++) {
      const angle = p * frequencies[i]!;
      cos[p * half + i] = Math.cos(angle);
      sin[p * half + i] = Math.sin(angle);
    }
  }
  const shape = [numPositions, half];
  return { cos: hostTensor("float32", shape, cos), sin: hostTensor("float32", shape, sin) };
}
