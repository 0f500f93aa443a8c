/** @file Runs an update rule piece by piece and copies the results back, since no output may overwrite what its program still reads. */
import type { Program } from "../runtime/engine.ts";
import { FlatChunks } from "../runtime/flat-chunks.ts";
import { type HostTensor, zeros } from "../runtime/host-tensor.ts";
import type { PartStretch } from "../runtime/memory/parted-vector.ts";

/** Vectors that an update changes, by the program's input names; each stretch covers the same elements. */
export type Vectors = Readonly<Record<string, PartStretch>>;

export class PieceUpdate {
  readonly #program: Program;
  readonly #chunks = new FlatChunks();
  /** Inputs of the program: scalars stay until they are set again, vectors are those of the current piece. */
  readonly #feeds: Record<string, HostTensor<"float32">> = {};
  readonly #into: Record<string, HostTensor<"float32">> = {};
  #watches = false;
  #hasMoved = false;

  constructor(program: Program) {
    this.#program = program;
  }

  /** Begins a step. `watches`: whether to find out if any parameter changes in it. */
  begin(scalars: Readonly<Record<string, number>>, { watches }: { readonly watches: boolean }): void {
    this.#watches = watches;
    this.#hasMoved = false;
    this.set(scalars);
  }

  /** Sets scalars that the rule reads. */
  set(scalars: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(scalars))
      (this.#feeds[name] ??= zeros("float32", [])).data[0] = value;
  }

  /** Whether any parameter value has changed since the step began; always false unless the step watches. */
  get hasMoved(): boolean {
    return this.#hasMoved;
  }

  /** Updates elements that lie in a single part of each vector; the gradient's stretch may be longer. */
  async run(gradients: PartStretch, vectors: Vectors): Promise<void> {
    const [feeds, into, chunks] = [this.#feeds, this.#into, this.#chunks];
    const { from, to } = vectors["parameter"]!;
    const piecesOf = ({ part, start }: PartStretch): readonly HostTensor<"float32">[] =>
      chunks.of(part, from - start, to - start);
    for (const [i, gradient] of piecesOf(gradients).entries()) {
      feeds["gradient"] = gradient;
      for (const [name, vector] of Object.entries(vectors)) {
        feeds[name] = piecesOf(vector)[i]!;
        into[`new.${name}`] = chunks.scratch(name, gradient.data.length);
      }
      await this.#program.run(feeds, into);
      if (this.#watches && !this.#hasMoved) {
        const now = into["new.parameter"]!.data;
        this.#hasMoved = feeds["parameter"]!.data.some((value, at) => value !== now[at]);
      }
      for (const name of Object.keys(vectors)) feeds[name]!.data.set(into[`new.${name}`]!.data);
    }
  }

  /** Frees the program. */
  async release(): Promise<void> {
    await this.#program.release();
  }
}
