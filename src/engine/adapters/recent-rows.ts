/** @file Views of rows that share a pass, ordered by use; decides whose programs are freed when all hold too much memory. */
import type { AdapterView } from "../../peft/adapter-view.ts";
import type { ProgramUse } from "../../run/session-programs.ts";

/** Most views with programs at a time: one of 1,000 nodes takes some 20 MB, and rows of seven methods can be mixed in 120 ways. */
const MAX_VIEWS = 12;
/** Most bytes of weights that programs of rows may hold beside those of the base. */
const MAX_BOUND_BYTES = 2 * 2 ** 30;
/** As many views stay in any case: a mix of all methods, and one of them. */
const MIN_VIEWS = 2;

interface RecentView {
  /** Weak, since a reference to rows that are no longer used would keep tensors of adapters in memory. */
  readonly view: WeakRef<AdapterView>;
  readonly programs: ProgramUse;
  readonly boundBytes: number;
}

export class RecentRows {
  readonly #useOf: (view: AdapterView) => ProgramUse;
  /** The most recently used is last. */
  #views: readonly RecentView[] = [];

  /** `useOf`: finds the programs of a view. */
  constructor(useOf: (view: AdapterView) => ProgramUse) {
    this.#useOf = useOf;
  }

  /** Whether programs of one more view fit without freeing those of another. */
  get hasRoom(): boolean {
    const most = Math.max(0, ...this.#views.map(({ boundBytes }) => boundBytes));
    const next = this.#views.length + 1;
    return next <= MIN_VIEWS || (next <= MAX_VIEWS && sumOf(this.#views) + most <= MAX_BOUND_BYTES);
  }

  /**
   * Records that rows of a view, whose programs are compiled, are about to run; frees programs of other views if need be, and
   * returns these views.
   */
  async use(view: AdapterView): Promise<readonly AdapterView[]> {
    const known = this.#views.find((each) => each.view.deref() === view);
    if (known) {
      if (this.#views.at(-1) !== known)
        this.#views = [...this.#views.filter((each) => each !== known), known];
      return [];
    }
    this.#views = [...this.#views, { view: new WeakRef(view), programs: this.#useOf(view), boundBytes: 0 }];
    // Other views are measured again too: some programs are compiled only when there are many tokens.
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

  /** Lets all views but these be freed first. Rows that no longer exist may come back alike and then find their programs. */
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
