/** @file Gradients as outputs of programs, and how what a program has made of them is collected. */
import type { Value } from "../../graph/graph.ts";
import type { Parameter } from "../../peft/parameters.ts";
import type { Tensors } from "../../runtime/host-tensor.ts";
import type { GradientBuffer } from "./gradient-buffer.ts";

/** A gradient that a program writes: the output, and the input that is trained. */
export interface GradientOutput {
  readonly output: string;
  readonly input: string;
}

/** The output of a program that is the gradient of one of its inputs. */
export function gradientName(input: string): string {
  return `gradient:${input}`;
}

/**
 * Makes outputs of the gradients of inputs, but of those that have none. `trainedAs`: by what name an input is trained, where
 * that is not its own.
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

/** Lends the outputs of a program that writes gradients of these parameters; `add` when it has run. */
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
