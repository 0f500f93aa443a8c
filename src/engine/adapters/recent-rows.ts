/** @file Views of rows side by side in the order of their use, and which of them go when their programs hold too much memory. */
import type { AdapterView } from "../../peft/adapter-view.ts";
import type { ProgramUse } from "../../run/session-programs.ts";

/** Views with programs at a time: one of 1,000 nodes takes some 20 MB, and rows of seven methods can be mixed in 120 ways. */
const MAX_VIEWS = 12;
/** Weights that programs of rows may hold beside those of the base. */
const MAX_BOUND_BYTES = 2 * 2 ** 30;
/** So many stay in any case: a mix of all methods, and one of them. */
const MIN_VIEWS = 2;

interface RecentView {
  /** Not held: rows that are no more have tensors of adapters. */
  readonly view: WeakRef<AdapterView>;
  readonly programs: ProgramUse;
  readonly boundBytes: number;
}

export class RecentRows {
  readonly #useOf: (view: AdapterView) => ProgramUse;
  /** The one that was used last at the end. */
  #views: readonly RecentView[] = [];

  /** `useOf`: the programs of a view. */
  constructor(useOf: (view: AdapterView) => ProgramUse) {
    this.#useOf = useOf;
  }

  /** Whether programs of one more view would leave those of all others. */
  get hasRoom(): boolean {
    const most = Math.max(0, ...this.#views.map(({ boundBytes }) => boundBytes));
    const next = this.#views.length + 1;
    return next <= MIN_VIEWS || (next <= MAX_VIEWS && sumOf(this.#views) + most <= MAX_BOUND_BYTES);
  }

  /** Says that rows of a view, whose programs are compiled, are about to run; frees those of others. Tells which these were. */
  async use(view: AdapterView): Promise<readonly AdapterView[]> {
    const known = this.#views.find((each) => each.view.deref() === view);
    if (known) {
      if (this.#views.at(-1) !== known)
        this.#views = [...this.#views.filter((each) => each !== known), known];
      return [];
    }
    this.#views = [...this.#views, { view: new WeakRef(view), programs: this.#useOf(view), boundBytes: 0 }];
    // Of others too: some programs are compiled only when there are many tokens.
    const measured = new Map<ProgramUse, number>();
    for (const { programs } of this.#views) measured.set(programs, await programs.boundBytes());
    this.#views = this.#views.map((each) => ({
      ...each,
      boundBytes: measured.get(each.programs) ?? each.boundBytes,
    }));
    return this.#freeOld();
  }

  #freeOld(): AdapterView[] {
    const freed: AdapterView[] = [];
    while (
      this.#views.length > MIN_VIEWS &&
      (this.#views.length > MAX_VIEWS || sumOf(this.#views) > MAX_BOUND_BYTES)
    ) {
      const [first, ...others] = this.#views;
      this.#views = others;
      first!.programs.end();
      const view = first!.view.deref();
      if (view) freed.push(view);
    }
    return freed;
  }

  /** Has views other than these go first: rows that are no more may come again, alike, and then find their programs. */
  keep(views: ReadonlySet<AdapterView>): void {
    const isKept = ({ view }: RecentView): boolean => {
      const held = view.deref();
      return held !== undefined && views.has(held);
    };
    this.#views = [...this.#views.filter((each) => !isKept(each)), ...this.#views.filter(isKept)];
  }
}

function sumOf(views: readonly RecentView[]): number {
  return views.reduce((sum, { boundBytes }) => sum + boundBytes, 0);
}
