/** @file Classifies images and texts by the logits of the position that tells the class, several examples per pass. */
import { notFinite } from "./not-finite.ts";
import { z } from "zod";
import { layRows } from "../data/batches/batch.ts";
import { type TrainingExample, UNIT_LIST, exampleLength } from "../data/examples/training-unit.ts";
import { type ClassExample, type ClassOptions, classesOf } from "../data/examples/class-example.ts";
import type { ImageExample } from "../data/examples/images.ts";
import { factsOf, labelledPositions } from "../data/batches/pass-facts.ts";
import { UsageError } from "../errors.ts";
import { checkArguments, lazily } from "../messages/arguments.ts";
import { NO_ADAPTER } from "../peft/adapter-view.ts";
import type { BaseModel } from "../models/base/base-model.ts";
import { type Adapter, AN_ADAPTER } from "../peft/attach.ts";
import { requireOwnBase } from "../peft/own-base.ts";
import { likeliest } from "../run/head/likeliest.ts";
import { ForwardPass } from "../run/forward-pass.ts";
import { requireReadable } from "../train/loop/readable.ts";
import { A_SESSION, type Session } from "../run/session.ts";

/** Positions per pass: enough examples to keep the processor busy, few enough for little memory. */
const PASS_POSITIONS = 1024;

type Classified = ImageExample | ClassExample;

/** The class that is found for an example. */
export interface Classification {
  /** The likeliest class. */
  readonly label: number;
  /** Logits of all classes, [V]; owned by the caller. */
  readonly logits: Float32Array;
}

const PARTS = lazily(() => z.strictObject({ session: A_SESSION, adapter: AN_ADAPTER.nullable() }));
const EXAMPLES = lazily(() => z.strictObject({ examples: UNIT_LIST }));

/** Returns the class options of a model. @throws UsageError "usage/model" for a model without classes */
export function requireClasses({ name, model }: Pick<BaseModel, "name" | "model">): ClassOptions {
  const { classes } = classesOf(model);
  if (classes) return classes;
  throw new UsageError(
    "usage/model",
    `Cannot classify with model "${name}": it is for ${model.task} (family ${model.modelType}), expected a model with classes`,
    {
      hint: "Choose a model or an adapter with classes: training with the objective classification makes one from any text model.",
    },
  );
}

/** Classifies texts and images; the caller owns its session. */
export class Classifier {
  readonly #forward: ForwardPass;

  private constructor(forward: ForwardPass) {
    this.#forward = forward;
  }

  /**
   * Compiles the programs that belong to no block. `adapter` null: the base alone. @throws UsageError "usage/model" for a model
   * without classes, "usage/adapter" for an adapter of another base
   */
  static async create(session: Session, adapter: Adapter | null): Promise<Classifier> {
    checkArguments("Classifier.create", PARTS, { session, adapter });
    requireClasses(session.base);
    await requireOwnBase(session.base, [adapter]);
    return new Classifier(await ForwardPass.create(session, adapter ?? NO_ADAPTER));
  }

  /** Classifies examples in order; their own labels are ignored. @throws as `Evaluator.evaluate`; FailedError "engine/nan" */
  async classify(examples: readonly Classified[]): Promise<Classification[]> {
    checkArguments("classify", EXAMPLES, { examples });
    requireReadable(examples, this.#forward.session.model);
    const results: Classification[] = [];
    let from = 0;
    while (from < examples.length) {
      let [to, longest] = [from, 0];
      for (; to < examples.length; to++) {
        longest = Math.max(longest, exampleLength(examples[to] as TrainingExample));
        if (to > from && (to + 1 - from) * longest > PASS_POSITIONS) break;
      }
      results.push(...(await this.#pass(examples.slice(from, to))));
      from = to;
    }
    return results;
  }

  #pass(examples: readonly Classified[]): Promise<Classification[]> {
    const { head } = this.#forward;
    const { numOutputs } = head;
    const batch = layRows(examples.map((example) => [example]));
    return this.#forward.run(batch.input, factsOf(batch), async (x) => {
      const results: Classification[] = [];
      await head.withLogitsAt(x, labelledPositions(batch).indexes, 0, (all) => {
        for (let from = 0; from < all.length; from += numOutputs) {
          const logits = all.slice(from, from + numOutputs);
          results.push({ label: likeliest(logits), logits });
        }
      });
      if (results.some(({ logits }) => !logits.every(Number.isFinite))) {
        throw notFinite("classify");
      }
      return results;
    });
  }

  /** Share of examples whose likeliest class equals their label. */
  async accuracy(examples: readonly Classified[]): Promise<number> {
    const found = await this.classify(examples);
    return found.filter(({ label }, i) => label === examples[i]?.label).length / examples.length;
  }
}
