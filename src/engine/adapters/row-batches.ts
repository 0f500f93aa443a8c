/**
 * @file Decides which rows of texts run together: rows of one adapter by its own programs, rows of several adapters of one
 * method, and rows of several methods once the programs for that are compiled.
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
  /** Makes an adapter a member of a group, unless it is one. */
  readonly join: (held: HeldAdapter) => Promise<void>;
}

export class RowBatches {
  readonly #options: RowBatchesOptions;

  constructor(options: RowBatchesOptions) {
    this.#options = options;
  }

  /** Whether the keys and values of an adapter's rows depend on what follows in the prompt. */
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
   * Puts rows into as few batches as their adapters allow; rows without an adapter join others. `isInvariant`: a row's result
   * must not depend on the rows beside it. Where products round, the last bit of a float decides roundings; each method, and the
   * rows without an adapter, then get a batch of their own, and so does each row where a method multiplies its
   * rows with one matrix.
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
    // Until programs for several methods are compiled, each method has a pass of its own, and nothing waits. Programs that hold
    // weights hold them rounded.
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

  /** Runs a row by the programs of its own adapter, whatever other rows run beside it. */
  alone(held: HeldAdapter | null): RowBatch {
    return this.#ownBatch(held, [0]);
  }

  /** Rows of one adapter, or of none, by its own programs. */
  #ownBatch(held: HeldAdapter | null, own: readonly number[]): RowBatch {
    return {
      rows: own,
      prepare: async () => ({
        stages: await this.#options.programs.ofOne(held?.adapter ?? null),
        order: null,
      }),
    };
  }

  /** Rows of several adapters together. */
  #sharedBatch(slots: readonly RowSet[], own: readonly number[]): RowBatch {
    return {
      rows: own,
      prepare: async (rows) => {
        const adapters = rows.map((held) => held?.adapter ?? null);
        for (;;) {
          const views = slots.map(({ view }) => view);
          const areSame = (): boolean => slots.every(({ view }, i) => view === views[i]);
          const stages = await this.#options.programs.ofRows(views);
          // Another caller may have rebuilt the rows meanwhile.
          const order = areSame() ? arrangeRows(slots, adapters) : [];
          if (areSame()) return { stages, order };
        }
      },
    };
  }
}
