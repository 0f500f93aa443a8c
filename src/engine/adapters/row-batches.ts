/**
 * @file Which rows of texts run as one: those of one adapter by its own programs, those of several side by side, and of unlike
 * methods together once programs are compiled.
 */
import { assertInternal } from "../../errors.ts";
import { arrangeRows } from "../../peft/rows/mixed-rows.ts";
import type { RowSet } from "../../peft/rows/row-set.ts";
import type { AdapterGroups, RowGroup } from "./adapter-groups.ts";
import type { HeldAdapter, RowBatch } from "./held-adapter.ts";
import type { RowPrograms } from "./row-programs.ts";

interface RowBatchesOptions {
  readonly programs: RowPrograms;
  readonly groups: AdapterGroups;
  /** Whether rows of one adapter run by programs of its own. */
  readonly isOwnFirst: boolean;
  /** Puts an adapter among those that rows may have, if it is not yet. */
  readonly join: (held: HeldAdapter) => Promise<void>;
}

export class RowBatches {
  readonly #options: RowBatchesOptions;

  constructor(options: RowBatchesOptions) {
    this.#options = options;
  }

  /** Whether keys and values of an adapter's rows depend on what follows in the prompt. */
  async isPerPrompt(held: HeldAdapter | null): Promise<boolean> {
    const isShared = held !== null && !this.#options.isOwnFirst;
    if (isShared) await this.#options.join(held);
    const slots = isShared ? this.#options.groups.of(held)?.slots : null;
    const { programs } = this.#options;
    return await (slots
      ? programs.isPerPrompt(slots.view)
      : programs.isPerPromptOfOne(held?.adapter ?? null));
  }

  /**
   * Puts rows into as few batches as their adapters allow; rows without one go with others. `isInvariant`: a row is to be computed
   * alike whatever runs beside it. Where products round, the last bit of a float decides roundings, so each method then has
   * a batch of its own, and so have rows without an adapter; where a method multiplies its rows with one matrix, each row has.
   */
  async of(
    rows: readonly (HeldAdapter | null)[],
    { isInvariant = false }: { readonly isInvariant?: boolean } = {},
  ): Promise<RowBatch[]> {
    const asked = new Set(rows);
    const [first = null, ...others] = asked;
    if (others.length === 0 && (first === null || this.#options.isOwnFirst)) {
      return [this.#ownBatch(first, [...rows.keys()])];
    }
    for (const held of asked) if (held) await this.#options.join(held);
    const groups = rows.map((held) => {
      const group = held && this.#options.groups.of(held);
      assertInternal(group !== undefined, "an adapter that a text has does not go");
      return group;
    });
    // Until programs of several methods are compiled, each has a pass of its own, and nobody waits.
    // Programs that hold weights hold them rounded.
    const isMixed = !(isInvariant && this.#options.programs.holdWeights);
    const slots = isMixed ? this.#options.groups.mixed(new Set(groups)) : null;
    const shared = (isMixed && groups.find((group) => group?.slots?.takesNone === true)) || null;
    const byGroup = new Map<RowGroup | null, number[]>();
    for (const [row, group] of groups.entries()) {
      const isAlone = group && !(slots && group.slots?.takesNone);
      const key = isAlone ? group : shared;
      byGroup.set(key, [...(byGroup.get(key) ?? []), row]);
    }
    return [...byGroup].flatMap(([group, own]) => {
      if (!group?.slots) return [this.#ownBatch(rows[own[0] ?? 0] ?? null, own)];
      const sets = slots && group === shared ? slots : [group.slots];
      const parts = !isMixed && group.slots.hasCommonMatrix ? own.map((row) => [row]) : [own];
      return parts.map((part) => this.#sharedBatch(sets, part));
    });
  }

  /** A row by the programs of its own adapter, whatever rows of others run beside it. */
  alone(held: HeldAdapter | null): RowBatch {
    return this.#ownBatch(held, [0]);
  }

  /** Rows of one adapter, or none, by its own programs. */
  #ownBatch(held: HeldAdapter | null, own: readonly number[]): RowBatch {
    return {
      rows: own,
      prepare: async () => ({
        stages: await this.#options.programs.ofOne(held?.adapter ?? null),
        order: null,
      }),
    };
  }

  /** Rows of adapters side by side. */
  #sharedBatch(slots: readonly RowSet[], own: readonly number[]): RowBatch {
    return {
      rows: own,
      prepare: async (rows) => {
        const adapters = rows.map((held) => held?.adapter ?? null);
        for (;;) {
          const views = slots.map(({ view }) => view);
          const areSame = (): boolean => slots.every(({ view }, i) => view === views[i]);
          const stages = await this.#options.programs.ofRows(views);
          // Another caller may have made the rows anew meanwhile.
          const order = areSame() ? arrangeRows(slots, adapters) : [];
          if (areSame()) return { stages, order };
        }
      },
    };
  }
}
