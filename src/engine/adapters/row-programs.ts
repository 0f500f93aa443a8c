/**
 * @file Programs of rows by the adapters that they have, compiled when they are first asked for: of an adapter by itself, of
 * those of one method side by side, and of several methods at once. Those that were used longest ago are freed.
 */
import { type AdapterView, NO_ADAPTER } from "../../peft/adapter-view.ts";
import type { Adapter } from "../../peft/attach.ts";
import { mixViews } from "../../peft/rows/mixed-rows.ts";
import { arithmeticOf } from "../../run/arithmetic.ts";
import type { Session } from "../../run/session.ts";
import { type PagedStages, compilePaged } from "../stack/paged-stages.ts";
import { RecentRows } from "./recent-rows.ts";

/** Several methods side by side. */
interface Mix {
  readonly views: readonly AdapterView[];
  readonly view: AdapterView;
}

export class RowPrograms {
  readonly #session: Session;
  /** Stages by the view of the rows. Some of their programs may not be compiled yet. */
  readonly #stages = new WeakMap<AdapterView, Promise<PagedStages>>();
  /** Whether rows of the cache are good for one prompt alone, by the view of the rows: it stays when programs are freed. */
  readonly #perPrompt = new WeakMap<AdapterView, Promise<boolean>>();
  /** Views whose programs are there. */
  readonly #ready = new WeakSet<AdapterView>();
  /** Views of rows side by side with programs. */
  readonly #recent: RecentRows;
  #mixes: readonly Mix[] = [];

  constructor(session: Session) {
    this.#session = session;
    this.#recent = new RecentRows((view) => session.useOf(view));
  }

  /** Whether programs hold the weights of the base once more, so that there should be few. */
  get holdWeights(): boolean {
    return arithmeticOf(this.#session, NO_ADAPTER, 0).binds;
  }

  /** Reads what programs of an adapter by itself bind, or of the base, and begins to compile them. */
  async begin(adapter: Adapter | null): Promise<void> {
    await this.#begin(viewOfOne(adapter));
  }

  /** Programs of an adapter by itself, or of the base. */
  ofOne(adapter: Adapter | null): Promise<PagedStages> {
    return this.#of(viewOfOne(adapter));
  }

  /** Programs of rows that these views are of, one of each method. */
  ofRows(views: readonly AdapterView[]): Promise<PagedStages> {
    return this.#ofRows(this.#viewOf(views));
  }

  /** Whether keys and values of an adapter's rows, or of the base's, depend on what follows in the prompt, by programs of its own. */
  isPerPromptOfOne(adapter: Adapter | null): Promise<boolean> {
    return this.#isPerPrompt(viewOfOne(adapter), (view) => this.#of(view));
  }

  /** As `isPerPromptOfOne`, of rows of one method. */
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

  /** Finds views whose programs are compiled: these, or these and more; null: there are none yet, but soon will be. */
  findReady(views: readonly AdapterView[]): readonly AdapterView[] | null {
    const covers = (mix: Mix): boolean => views.every((own) => mix.views.includes(own));
    const ready = this.#mixes.filter((mix) => this.#ready.has(mix.view) && covers(mix));
    const [fewest = null] = ready.sort((a, b) => a.views.length - b.views.length);
    const view = this.#viewOf(views);
    // A failure is told when they are needed. Where others do, nothing in use goes for them.
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

  /** Forgets mixes with views other than these; programs of rows that are no more are the first to be freed. */
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

/** What rows with an adapter by itself run with; null: the base's. */
function viewOfOne(adapter: Adapter | null): AdapterView {
  return adapter?.forWriting() ?? NO_ADAPTER;
}
