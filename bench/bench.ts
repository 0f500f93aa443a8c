/**
 * @file The contract of a benchmark. A file `bench/NAME.bench.ts` exports one `benchmark`; `npx graft bench NAME` finds it by its
 * file name, so there is no list to keep.
 *
 *   export const benchmark = defineBenchmark({
 *     question: "How long does one operation take?",
 *     flags: { repeats: { value: 20, help: "timed runs of each case" } },
 *     async run({ repeats }, { say }) { …; return { table, results }; },
 *   });
 */

/** Anything that JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** A flag: its value when it is not given (which also fixes its kind) and one line of help. A `false` flag is a switch. */
export interface Flag {
  readonly value: string | number | boolean;
  readonly help: string;
}

/** A printed table: every row has as many cells as the head. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** What a benchmark returns: the table to print and the numbers. */
export interface Outcome {
  readonly table: Table;
  readonly results: Readonly<Record<string, Json>>;
  /** What it ran with; default: the values of its flags. */
  readonly parameters?: Readonly<Record<string, Json>>;
  /** Versions of other programs than Node and onnxruntime. */
  readonly versions?: Readonly<Record<string, string>>;
}

/** What the harness provides for a run. */
export interface BenchContext {
  /** Prints one line of progress on standard error. */
  readonly say: (line: string) => void;
  /** A fresh folder, which is removed after the run. */
  readonly scratch: string;
}

type KindOf<V> = V extends string ? string : V extends number ? number : boolean;

/** The values of the flags: the kind of each is the kind of its `value`. */
export type FlagValues<F extends Readonly<Record<string, Flag>>> = {
  readonly [K in keyof F]: KindOf<F[K]["value"]>;
};

/** One question, its flags and the run that answers it. */
export interface Benchmark<F extends Readonly<Record<string, Flag>> = Readonly<Record<string, Flag>>> {
  readonly question: string;
  readonly flags: F;
  /** Its numbers, such as losses or peaks of memory, do not depend on what else the machine does. */
  readonly ignoresLoad?: true;
  run(values: FlagValues<F>, context: BenchContext): Promise<Outcome>;
}

/** Returns the benchmark itself; exists so that the kinds of `run`'s values follow from `flags`. */
export function defineBenchmark<const F extends Readonly<Record<string, Flag>>>(
  benchmark: Benchmark<F>,
): Benchmark<F> {
  return benchmark;
}
