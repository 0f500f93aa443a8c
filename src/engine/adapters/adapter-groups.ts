/**
 * @file Decides which adapters in memory can share a pass, each in rows of its own, and which take turns.
 *
 * Adapters that can share a batch are members of one group. A group's programs read the tensors of all its members, and each row
 * says which member it uses. Where an adapter's tensors are as large as weights, a memory budget limits the number of members.
 */
import type { Adapter } from "../../peft/attach.ts";
import { openRowSet } from "../../peft/rows/open-row-set.ts";
import { formRows } from "../../peft/rows/row-forms.ts";
import type { RowSet } from "../../peft/rows/row-set.ts";
import type { Session } from "../../run/session.ts";
import { hashOfAdapter } from "./adapter-hash.ts";
import { FormBudget } from "./form-budget.ts";
import type { HeldAdapter } from "./held-adapter.ts";
import type { RowPrograms } from "./row-programs.ts";

/** Default memory for adapters whose updates are as large as weights. */
export const DEFAULT_UPDATE_BYTES = 2 * 2 ** 30;

/** Adapters that can share a batch. An adapter that cannot has a group of its own, without slots. */
export interface RowGroup {
  readonly slots: RowSet | null;
  readonly members: Set<HeldAdapter>;
  /** Whether the adapter is alone only because memory is short. */
  readonly isWaiting: boolean;
}

interface AdapterGroupsOptions {
  readonly session: Session;
  readonly programs: RowPrograms;
  /** Memory budget, in bytes, for members whose tensors are as large as weights. */
  readonly updateBytes: number;
  /** Whether no text uses the adapter. */
  readonly isIdle: (held: HeldAdapter) => boolean;
}

export class AdapterGroups {
  readonly #options: AdapterGroupsOptions;
  readonly #budget: FormBudget;
  readonly #groups: RowGroup[] = [];
  /** Notes already given about adapters that take turns, each with the hash of the adapter's values. */
  readonly #told = new Map<string, string>();

  constructor(options: AdapterGroupsOptions) {
    this.#options = options;
    this.#budget = new FormBudget(options.updateBytes);
  }

  of(held: HeldAdapter): RowGroup | undefined {
    return this.#groups.find(({ members }) => members.has(held));
  }

  /** Finds the row sets with which several groups can share a pass, if their programs are compiled; null: each group runs alone. */
  mixed(groups: ReadonlySet<RowGroup | null>): readonly RowSet[] | null {
    const slots = this.#mixable(groups);
    const { programs } = this.#options;
    const views = slots.length > 0 ? programs.findReady(slots.map(({ view }) => view)) : null;
    return views && this.#slots.filter(({ view }) => views.includes(view));
  }

  /**
   * Row sets of the given groups that can share a pass with others and with rows without an adapter. Where programs should be few
   * and more than one such group is given, returns those of all groups.
   */
  #mixable(groups: ReadonlySet<RowGroup | null>): readonly RowSet[] {
    const all = this.#groups.filter(({ slots }) => slots?.takesNone === true);
    const present = all.filter((group) => groups.has(group));
    const chosen = present.length > 1 && this.#options.programs.holdWeights ? all : present;
    return chosen.flatMap(({ slots }) => slots ?? []);
  }

  get #slots(): readonly RowSet[] {
    return this.#groups.flatMap(({ slots }) => slots ?? []);
  }

  /** Records that rows use an adapter; false: the adapter must join a group first. */
  use(held: HeldAdapter): boolean {
    const group = this.of(held);
    this.#budget.use(held.adapter);
    return group !== undefined && !(group.isWaiting && this.#roomFor(held));
  }

  /** Which other adapters must give up memory to make room for one; null: there is not enough even so. */
  #roomFor({ adapter }: HeldAdapter): readonly Adapter[] | null {
    return this.#budget.roomFor(adapter, (other) => this.#membersOf(other).every(this.#options.isIdle));
  }

  /** Puts an adapter into the first group that can take it, or into a new one. Only one call may run at a time. */
  async join(held: HeldAdapter): Promise<void> {
    if (this.use(held)) return;
    const { session, programs } = this.#options;
    const { adapter } = held;
    const going = this.#roomFor(held);
    for (const other of going ?? []) for (const each of this.#membersOf(other)) this.leave(each);
    const formed = going && (await formRows(session.engine, session.base, adapter));
    if (typeof formed === "string" && held.name !== "") this.#tell(held, formed);
    const member = typeof formed === "string" ? null : formed;
    // The adapter leaves its old group only now: until here, texts with it have taken turns.
    this.leave(held);
    let group = this.#groups.find(({ slots }) => member && slots?.add(member) === true);
    if (!group) {
      const slots = member && openRowSet(session.base, member);
      group = { slots, members: new Set(), isWaiting: !going };
      this.#groups.push(group);
    }
    group.members.add(held);
    if (group.slots) this.#budget.add(adapter);
    // Adapters that were there before may need other programs now.
    await (group.slots ? programs.ofRows([group.slots.view]) : programs.ofOne(adapter));
    this.#keepPrograms();
  }

  /** Releases the programs of rows that no longer exist. */
  #keepPrograms(): void {
    this.#options.programs.keep(new Set(this.#slots.map(({ view }) => view)));
  }

  /** Tells once why texts with an adapter take turns: the adapter may be dropped and read again many times. */
  #tell({ name, adapter }: HeldAdapter, reason: string): void {
    const note = `Texts with adapter "${name}" take turns with other texts instead of sharing a pass with them: ${reason}`;
    const hash = hashOfAdapter(adapter);
    if (this.#told.get(note) === hash) return;
    this.#told.set(note, hash);
    this.#options.session.base.addNote(note);
  }

  #membersOf(adapter: Adapter): readonly HeldAdapter[] {
    return this.#groups.flatMap(({ members }) => [...members].filter((held) => held.adapter === adapter));
  }

  leave(held: HeldAdapter): void {
    const group = this.of(held);
    if (!group) return;
    group.members.delete(held);
    const isShared = [...group.members].some(({ adapter }) => adapter === held.adapter);
    if (!isShared) {
      group.slots?.remove(held.adapter);
      this.#budget.remove(held.adapter);
    }
    if (group.members.size > 0) return;
    this.#groups.splice(this.#groups.indexOf(group), 1);
    this.#keepPrograms();
  }

  /** Forgets all adapters; nothing may run any more. */
  clear(): void {
    this.#groups.length = 0;
  }
}
