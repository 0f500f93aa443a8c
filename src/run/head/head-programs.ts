/** @file The programs of a model's head with their inputs, and how each multiplies with the head's matrix. */
import { assertInternal } from "../../errors.ts";
import { moduleOf } from "../../models/module-path.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { Amount, HeadArithmetic } from "../arithmetic.ts";
import type { Session } from "../session.ts";
import type { Compiled } from "../session-programs.ts";
import {
  type HeadProgram,
  type HeadProgramKind,
  changesHead,
  compileHead,
  headArithmetic,
  isPerPosition,
  prepareAll,
} from "./head-graph.ts";
import { gatherPositions } from "./head-positions.ts";

/** How programs of one kind multiply with the head's matrix. */
interface HeadWay {
  readonly arithmetic: HeadArithmetic | null;
  /** Whether the matrix is read some rows at a time. */
  readonly isSliced: boolean;
}

export class HeadPrograms {
  readonly #session: Session;
  readonly #adapter: AdapterView;
  readonly #drawsDropout: boolean;
  readonly #ways = new Map<string, HeadWay>();

  /** `drawsDropout`: whether losses draw dropout. Programs are compiled at first use. */
  constructor(session: Session, adapter: AdapterView, { drawsDropout }: { readonly drawsDropout: boolean }) {
    this.#session = session;
    this.#adapter = adapter;
    this.#drawsDropout = drawsDropout;
  }

  /** Compiles a program, or returns the compiled one. */
  get(kind: HeadProgramKind, amount: Amount = "any"): Promise<Compiled<HeadProgram>> {
    const training = kind.startsWith("loss") && this.#drawsDropout;
    const { arithmetic } = this.wayOf(kind, amount);
    return compileHead(this.#session, this.#adapter, { kind, training, arithmetic });
  }

  /** How a program multiplies. Cached, since finding it builds the head's graph, which takes longer than writing a token. */
  wayOf(kind: HeadProgramKind, amount: Amount = "any"): HeadWay {
    const key = `${kind}, ${amount}`;
    let way = this.#ways.get(key);
    if (!way) {
      const arithmetic = headArithmetic(this.#session, this.#adapter, kind, amount);
      way = { arithmetic, isSliced: readsSlices(this.#session, this.#adapter, arithmetic) };
      this.#ways.set(key, way);
    }
    return way;
  }

  /** The tensors that a program reads, by input name; not to be changed. */
  async weights({ part, tensorOf, reads }: HeadProgram): Promise<Record<string, HostTensor>> {
    const weights: Record<string, HostTensor> = await prepareAll(this.#session, reads);
    const inputs = this.#adapter.inputs(null);
    for (const [input, name] of tensorOf) {
      if (isPerPosition(part, input)) continue;
      const own = inputs[name];
      weights[input] = own ?? ((await this.#session.weights.readOutsideBlocks([name]))[name] as HostTensor);
    }
    return weights;
  }

  /** The adapter's inputs for positions [N], taken from their rows of the pass; from the pool. */
  ofPositions({ part }: HeadProgram, rows: Int32Array | null): Record<string, HostTensor<"float32">> {
    const inputs = this.#adapter.inputs(null);
    const names = Object.keys(part.adapter).filter((name) => isPerPosition(part, name));
    return Object.fromEntries(
      names.map((name) => {
        assertInternal(rows, "it is known of which row each position is");
        return [name, gatherPositions(inputs[name] as HostTensor<"float32">, rows, this.#session.pool)];
      }),
    );
  }
}

/** Whether programs in this arithmetic read the head's matrix some rows at a time. */
export function readsSlices(
  session: Pick<Session, "model" | "isLargeTable">,
  adapter: AdapterView,
  arithmetic: HeadArithmetic | null,
): boolean {
  if (arithmetic !== null || session.model.hasTargets || !session.isLargeTable(session.model.headTensor.name))
    return false;
  return !addsToClasses(session) && !changesHead(session, adapter);
}

/** Whether a head of classes has biases, which slices support for vocabularies only. */
function addsToClasses({ model }: Pick<Session, "model">): boolean {
  return !model.hasVocabularyHead && model.siteOf(moduleOf(model.headTensor.name))?.bias === true;
}
