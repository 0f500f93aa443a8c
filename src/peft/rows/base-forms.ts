/** @file Computes the values that an adapter's rows need from the base's weights at its sites, if its method needs any. */
import { neededInputs } from "../../graph/program.ts";
import { knownShape } from "../../graph/shape.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import type { Engine, Program } from "../../runtime/engine.ts";
import { type HostTensor, zeros } from "../../runtime/host-tensor.ts";
import { madeOnce, releaseMade } from "../../runtime/made-once.ts";
import type { Adapter } from "../attach.ts";
import type { BatchRule } from "../contract/batch-rule.ts";
import type { AdaptedSite } from "../layout.ts";
import { feedSite, inputSite } from "../sites/site-inputs.ts";
import type { SiteTensors } from "../sites/site.ts";

export class BaseForms {
  readonly #engine: Engine;
  readonly #base: BaseModel;
  readonly #adapter: Adapter;
  readonly #ofBase: BatchRule<unknown>["ofBase"];
  /** Sites of equal sizes and options share a program. */
  readonly #programs = new Map<string, Promise<Program>>();

  constructor(engine: Engine, base: BaseModel, adapter: Adapter, { ofBase }: BatchRule<unknown>) {
    this.#engine = engine;
    this.#base = base;
    this.#adapter = adapter;
    this.#ofBase = ofBase;
  }

  /** Computes the values that a form needs at a site, by name; empty if its method needs none. */
  async compute(site: AdaptedSite): Promise<SiteTensors> {
    if (!this.#ofBase) return {};
    const program = await this.#programFor(site, this.#ofBase);
    const of = { base: this.#base, adapter: this.#adapter };
    const feeds = await feedSite(of, site, site.path, program.spec.inputs);
    const made: Record<string, HostTensor<"float32">> = {};
    for (const [name, { shape }] of Object.entries(program.spec.outputs)) {
      made[name] = zeros("float32", knownShape(shape));
    }
    await program.run(feeds, made);
    return made;
  }

  #programFor(site: AdaptedSite, ofBase: NonNullable<BatchRule<unknown>["ofBase"]>): Promise<Program> {
    const { spec, options, parameters, frozen } = site;
    const key = JSON.stringify([{ ...spec, name: "" }, options, parameters, frozen]);
    return madeOnce(this.#programs, key, () => {
      const { weights, values, inputs } = inputSite(site);
      const outputs = ofBase(weights, values, spec, options);
      const name = `rows-${this.#adapter.method.name}`;
      return this.#engine.compile({ name, inputs: neededInputs(outputs, inputs), outputs });
    });
  }

  /** Frees the programs. */
  release(): Promise<void> {
    return releaseMade(this.#programs);
  }
}
