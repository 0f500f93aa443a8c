/** @file The memory of gradients in a planned step. It mirrors `run/gradients/gradient-buffer`. */
import type { Parameter } from "../../../peft/parameters.ts";
import type { GradientOutput } from "../../../run/gradients/gradient-outputs.ts";
import { floats } from "./planned-place.ts";
import type { PlannedBlock, PlannedPool } from "./planned-pool.ts";

export class PlannedGradients {
  readonly #pool: PlannedPool;
  /** Parameters whose gradient has been written in this step. */
  readonly #written = new Set<Parameter>();
  /** Parameters whose gradient has been written in any step: memory of the others is never touched, so it takes none. */
  readonly reached = new Set<Parameter>();

  constructor(pool: PlannedPool) {
    this.#pool = pool;
  }

  /** Begins a step: no gradient has been written. */
  begin(): void {
    this.#written.clear();
  }

  /** Whether the gradient of a parameter has been written in this step, so that further ones are added. */
  has(parameter: Parameter): boolean {
    return this.#written.has(parameter);
  }

  /** Notes that the gradient of a parameter has been written. */
  add(parameter: Parameter): void {
    this.#written.add(parameter);
    this.reached.add(parameter);
  }

  /** Runs work that writes gradients: the first directly into its place, later ones into lent memory, from which they are added. */
  collect(trained: readonly Parameter[], outputs: readonly GradientOutput[], run: () => void): void {
    const again: PlannedBlock[] = [];
    const byInput = new Map(trained.map((parameter) => [parameter.input, parameter]));
    for (const { input } of outputs) {
      const parameter = byInput.get(input);
      if (!parameter) continue;
      if (this.#written.has(parameter)) again.push(this.#pool.acquire(floats(parameter.shape), {}));
      this.add(parameter);
    }
    run();
    this.#pool.release(...again);
  }
}
