/**
 * @file Programs of rows, found by the adapters that the rows use and compiled at first use: of one adapter alone, of several of
 * one method, and of several methods at once. The least recently used are freed.
 */
import { type AdapterView, NO_ADAPTER } from "../../peft/adapter-view.ts";
import type { Adapter } from "../../peft/attach.ts";
import { mixViews } from "../../peft/rows/mixed-rows.ts";
import { arithmeticOf } from "../../run/arithmetic.ts";
import type { Session } from "../../run/session.ts";
import { type PagedStages, compilePaged } from "../stack/paged-stages.ts";
import { RecentRows } from "./recent-rows.ts";

/** Several methods that share a pass. */
interface Mix {
  readonly views: readonly AdapterView[];
  readonly view: AdapterView;
}

export class RowPrograms {
  readonly #session: Session;
  /** Stages by the view of the rows. Some of their programs may not be compiled yet. */
  readonly #stages = new WeakMap<AdapterView, Promise<PagedStages>>();
  /** Whether cached keys and values are good for one prompt only, by the view of the rows; kept when programs are freed. */
  readonly #perPrompt = new WeakMap<AdapterView, Promise<boolean>>();
  /** Views whose programs are compiled. */
  readonly #ready = new WeakSet<AdapterView>();
  /** Views of rows of several adapters that have programs. */
  readonly #recent: RecentRows;
  #mixes: readonly Mix[] = [];

  constructor(session: Session) {
    this.#session = session;
    this.#recent = new RecentRows((view) => session.useOf(view));
  }

  /** Whether programs hold a copy of the base's weights, so that there should be few. */
  get holdWeights(): boolean {
    return arithmeticOf(this.#session, NO_ADAPTER, 0).binds;
  }

  /** Reads what the programs of one adapter, or of the base, bind, and begins to compile them. */
  async begin(adapter: Adapter | null): Promise<void> {
    await this.#begin(viewOfOne(adapter));
  }

  /** Programs of one adapter alone, or of the base. */
  ofOne(adapter: Adapter | null): Promise<PagedStages> {
    return this.#of(viewOfOne(adapter));
  }

  /** Programs of rows with these views, one view for each method. */
  ofRows(views: readonly AdapterView[]): Promise<PagedStages> {
    return this.#ofRows(this.#viewOf(views));
  }

  /**
   * Whether the keys and values of an adapter's rows, or of the base's, depend on what follows in the prompt, with programs of
   * its own.
   */
  isPerPromptOfOne(adapter: Adapter | null): Promise<boolean> {
    return this.#isPerPrompt(viewOfOne(adapter), (view) => this.#of(view));
  }

  /** As `isPerPromptOfOne`, for rows of one method. */
  isPerPrompt(view: AdapterView): Promise<boolean> {
    return this.#isPerPrompt(view, (rows) => this.#ofRows(rows));
  }

  #isPerPrompt(view: AdapterView, stagesOf: (view: AdapterView) => Promise<PagedStages>): Promise<boolean> {
    let found = this.#perPrompt.get(view);
    if (!found) {
      found = stagesOf(view).then(({ blocks }) => blocks.isPerPrompt());
      this.#perPrompt.set(view, found);
      found.catch(() => this.#perPrompt.delete(view));
    }
    return found;
  }

  /** Finds views whose programs are compiled: these views, or these and more; null: there are none yet, but compiling has begun. */
  findReady(views: readonly AdapterView[]): readonly AdapterView[] | null {
    const covers = (mix: Mix): boolean => views.every((own) => mix.views.includes(own));
    const ready = this.#mixes.filter((mix) => this.#ready.has(mix.view) && covers(mix));
    const [fewest = null] = ready.sort((a, b) => a.views.length - b.views.length);
    const view = this.#viewOf(views);
    // A failure to compile is reported when the programs are needed. If a larger mix serves, no program in use is freed for this
    // one.
    if (!fewest || this.#recent.hasRoom) this.#ofRows(view).catch(() => {});
    return this.#ready.has(view) ? views : fewest && fewest.views;
  }

  /** The view of several methods, or of one as it is; the same at every call. */
  #viewOf(views: readonly AdapterView[]): AdapterView {
    const [only] = views;
    if (only && views.length === 1) return only;
    const isSame = (mix: Mix): boolean =>
      mix.views.length === views.length && mix.views.every((view, i) => view === views[i]);
    const known = this.#mixes.find(isSame);
    if (known) return known.view;
    const view = mixViews(views);
    this.#mixes = [...this.#mixes, { views, view }];
    return view;
  }

  /** Forgets mixes with any other view; programs of rows that no longer exist are the first to be freed. */
  keep(views: ReadonlySet<AdapterView>): void {
    this.#mixes = this.#mixes.filter((mix) => mix.views.every((view) => views.has(view)));
    this.#recent.keep(new Set([...views, ...this.#mixes.map(({ view }) => view)]));
  }

  async #ofRows(view: AdapterView): Promise<PagedStages> {
    const stages = await this.#of(view);
    for (const old of await this.#recent.use(view)) {
      this.#stages.delete(old);
      this.#ready.delete(old);
    }
    return stages;
  }

  async #of(view: AdapterView): Promise<PagedStages> {
    const stages = await this.#begin(view);
    await stages.compiled;
    return stages;
  }

  #begin(view: AdapterView): Promise<PagedStages> {
    let stages = this.#stages.get(view);
    if (!stages) {
      stages = compilePaged(this.#session, view);
      stages
        .then(({ compiled }) => compiled)
        .then(
          () => this.#ready.add(view),
          () => this.#stages.delete(view),
        );
      this.#stages.set(view, stages);
    }
    return stages;
  }
}

/** The view that rows with one adapter run with; null: the base's. */
function viewOfOne(adapter: Adapter | null): AdapterView {
  return adapter?.forWriting() ?? NO_ADAPTER;
}
