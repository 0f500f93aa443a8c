/** @file Gradients as outputs of programs, and how they are collected. */
import type { Value } from "../../graph/graph.ts";
import type { Parameter } from "../../peft/parameters.ts";
import type { Tensors } from "../../runtime/host-tensor.ts";
import type { GradientBuffer } from "./gradient-buffer.ts";

/** A gradient that a program writes: the name of the output, and of the trained input. */
export interface GradientOutput {
  readonly output: string;
  readonly input: string;
}

/** The name of the output for the gradient of an input. */
export function gradientName(input: string): string {
  return `gradient:${input}`;
}

/**
 * Makes outputs of the gradients of inputs, except where there is none. `trainedAs`: maps an input to the name by which it is
 * trained.
 */
export function writeGradients(
  inputs: readonly string[],
  found: readonly (Value | null)[],
  trainedAs: (input: string) => string = (input) => input,
): { readonly outputs: Readonly<Record<string, Value>>; readonly gradients: readonly GradientOutput[] } {
  const written = inputs.flatMap((input, i) => {
    const value = found[i];
    return value ? [{ output: gradientName(input), input: trainedAs(input), value }] : [];
  });
  return {
    outputs: Object.fromEntries(written.map(({ output, value }) => [output, value])),
    gradients: written.map(({ output, input }) => ({ output, input })),
  };
}

/** Provides memory for a program's gradients of these parameters; call `add` after it has run. */
export function bindGradients(
  buffer: GradientBuffer,
  parameters: readonly Parameter[],
  outputs: readonly GradientOutput[],
): { readonly into: Tensors; readonly add: () => Promise<void> } {
  const byInput = new Map(parameters.map((parameter) => [parameter.input, parameter]));
  const targets = outputs.flatMap(({ output, input }) => {
    const parameter = byInput.get(input);
    return parameter ? [{ output, parameter, tensor: buffer.target(parameter) }] : [];
  });
  return {
    into: Object.fromEntries(targets.map(({ output, tensor }) => [output, tensor])),
    add: async () => {
      for (const { parameter, tensor } of targets) await buffer.add(parameter, tensor);
    },
  };
}
