/**
 * @file Which adapters in memory lie side by side, so that rows of one pass may have any of them, and which take turns.
 *
 * Adapters that can share a batch are members of one group; a group's programs read the tensors of all its members, and
 * each row says which is its own. Where what they have is as large as weights, only so many are members as memory is for.
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

/** Adapters that can share a batch; those that cannot are alone, without slots. */
export interface RowGroup {
  readonly slots: RowSet | null;
  readonly members: Set<HeldAdapter>;
  /** Whether it is alone only as long as memory is short. */
  readonly isWaiting: boolean;
}

interface AdapterGroupsOptions {
  readonly session: Session;
  readonly programs: RowPrograms;
  /** Bytes for what members have that is as large as weights. */
  readonly updateBytes: number;
  /** Whether no text has it. */
  readonly isIdle: (held: HeldAdapter) => boolean;
}

export class AdapterGroups {
  readonly #options: AdapterGroupsOptions;
  readonly #budget: FormBudget;
  readonly #groups: RowGroup[] = [];
  /** What was said of adapters that take turns, and of which values. */
  readonly #told = new Map<string, string>();

  constructor(options: AdapterGroupsOptions) {
    this.#options = options;
    this.#budget = new FormBudget(options.updateBytes);
  }

  of(held: HeldAdapter): RowGroup | undefined {
    return this.#groups.find(({ members }) => members.has(held));
  }

  /** Rows of groups of which several can share a pass, with programs that are there; null: each runs by itself. */
  mixed(groups: ReadonlySet<RowGroup | null>): readonly RowSet[] | null {
    const slots = this.#mixable(groups);
    const { programs } = this.#options;
    const views = slots.length > 0 ? programs.findReady(slots.map(({ view }) => view)) : null;
    return views && this.#slots.filter(({ view }) => views.includes(view));
  }

  /** Rows of those groups that can share a pass with others and with none; of more, where programs should be few. */
  #mixable(groups: ReadonlySet<RowGroup | null>): readonly RowSet[] {
    const all = this.#groups.filter(({ slots }) => slots?.takesNone === true);
    const present = all.filter((group) => groups.has(group));
    const chosen = present.length > 1 && this.#options.programs.holdWeights ? all : present;
    return chosen.flatMap(({ slots }) => slots ?? []);
  }

  get #slots(): readonly RowSet[] {
    return this.#groups.flatMap(({ slots }) => slots ?? []);
  }

  /** Says that rows have an adapter; false: it is to join first. */
  use(held: HeldAdapter): boolean {
    const group = this.of(held);
    this.#budget.use(held.adapter);
    return group !== undefined && !(group.isWaiting && this.#roomFor(held));
  }

  /** Which others are to give memory back so that there is enough for one; null: there is not. */
  #roomFor({ adapter }: HeldAdapter): readonly Adapter[] | null {
    return this.#budget.roomFor(adapter, (other) => this.#membersOf(other).every(this.#options.isIdle));
  }

  /** Puts an adapter into the first group that can have it, or one of its own. One at a time. */
  async join(held: HeldAdapter): Promise<void> {
    if (this.use(held)) return;
    const { session, programs } = this.#options;
    const { adapter } = held;
    const going = this.#roomFor(held);
    for (const other of going ?? []) for (const each of this.#membersOf(other)) this.leave(each);
    const formed = going && (await formRows(session.engine, session.base, adapter));
    if (typeof formed === "string" && held.name !== "") this.#tell(held, formed);
    const member = typeof formed === "string" ? null : formed;
    // Now, for until here texts with it have taken turns.
    this.leave(held);
    let group = this.#groups.find(({ slots }) => member && slots?.add(member) === true);
    if (!group) {
      const slots = member && openRowSet(session.base, member);
      group = { slots, members: new Set(), isWaiting: !going };
      this.#groups.push(group);
    }
    group.members.add(held);
    if (group.slots) this.#budget.add(adapter);
    // What was there before may need other programs now.
    await (group.slots ? programs.ofRows([group.slots.view]) : programs.ofOne(adapter));
    this.#keepPrograms();
  }

  /** Lets go of programs of rows that are no more. */
  #keepPrograms(): void {
    this.#options.programs.keep(new Set(this.#slots.map(({ view }) => view)));
  }

  /** Says why texts with an adapter take turns, once: it may have to make room, and be read again, many times. */
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

  /** Forgets all; nothing runs any more. */
  clear(): void {
    this.#groups.length = 0;
  }
}
