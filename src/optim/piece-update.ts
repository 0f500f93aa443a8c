/** @file Runs an update rule piece by piece and copies the results back: no output may overwrite what its program still reads. */
import type { Program } from "../runtime/engine.ts";
import { FlatChunks } from "../runtime/flat-chunks.ts";
import { type HostTensor, zeros } from "../runtime/host-tensor.ts";
import type { PartStretch } from "../runtime/memory/parted-vector.ts";

/** Vectors that an update changes, by the names of the program's inputs: the same elements of each. */
export type Vectors = Readonly<Record<string, PartStretch>>;

export class PieceUpdate {
  readonly #program: Program;
  readonly #chunks = new FlatChunks();
  /** Inputs of the program: scalars stay until they are set anew, vectors are those of a piece. */
  readonly #feeds: Record<string, HostTensor<"float32">> = {};
  readonly #into: Record<string, HostTensor<"float32">> = {};
  #watches = false;
  #hasMoved = false;

  constructor(program: Program) {
    this.#program = program;
  }

  /** Begins a step. `watches`: to find out whether a parameter moves in it. */
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

  /** Whether a number of a parameter has become another since the step began; never found out unless asked for. */
  get hasMoved(): boolean {
    return this.#hasMoved;
  }

  /** Updates elements that all vectors have in one part each, of which the part of the gradients may have more. */
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
