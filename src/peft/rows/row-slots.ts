/**
 * @file Row sets for adapters with small forms: row i of every tensor belongs to the adapter of row i.
 *
 * Programs read the rows in place, so no step picks or copies anything; an adapter is copied into [rows, ...] only when a row
 * changes to it. When a larger adapter is added, with a higher rank or other modules, the rows are made anew.
 */
import { assertInternal } from "../../errors.ts";
import { numElements, sizeAt } from "../../graph/shape.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import { type HostTensor, hostTensor, zeros, type Tensors } from "../../runtime/host-tensor.ts";
import { type AdapterView, type ByLayer, addTensor } from "../adapter-view.ts";
import { type Adapter, bindForm } from "../attach.ts";
import type { StackedBatch } from "../contract/batch-rule.ts";
import { type RowMember, type RowPlace, formOfBase } from "./row-forms.ts";
import { areAlike, commonTensors } from "./row-likeness.ts";
import { type SuffixShape, fillRow, shapesOf } from "./row-tensors.ts";
import { type StackedPlace, viewRows } from "./row-view.ts";
import type { RowSet } from "./row-set.ts";

/** The memory of the rows, until larger rows are made. */
interface Generation {
  readonly stacked: Map<RowPlace, StackedPlace>;
  /** Tensors by layer and input name: those with rows, those that all rows share, and those that programs bind. */
  readonly inputs: ByLayer<HostTensor<"float32">>;
  readonly common: ByLayer;
  readonly constants: ByLayer;
  /** Views of ranges of rows, reused by passes with the same range. */
  readonly cuts: Map<string, ByLayer>;
  /** The adapter of each row; null: none, undefined: not arranged yet. */
  rows: (Adapter | null | undefined)[];
  /** The rows of the next pass. */
  start: number;
  count: number;
  view: AdapterView | null;
}

function makeGeneration(numRows: number): Generation {
  const [stacked, inputs, common, constants, cuts] = [new Map(), new Map(), new Map(), new Map(), new Map()];
  const rows = Array.from<undefined>({ length: numRows });
  return { stacked, inputs, common, constants, cuts, rows, start: 0, count: 0, view: null };
}

/** Initial number of rows. */
const FIRST_ROWS = 4;

export class RowSlots implements RowSet {
  readonly #base: BaseModel;
  readonly #batch: StackedBatch<unknown>;
  readonly #method: Adapter["method"];
  readonly #members = new Map<Adapter, RowMember>();
  /** Places of all adapters, by path. */
  readonly #places = new Map<string, RowPlace>();
  #now: Generation = makeGeneration(0);
  readonly takesNone: boolean;

  constructor(base: BaseModel, batch: StackedBatch<unknown>, first: RowMember) {
    this.#base = base;
    this.#batch = batch;
    this.#method = first.adapter.method;
    this.takesNone = areAlike(batch, [first, null]);
    this.add(first);
  }

  get view(): AdapterView {
    const now = this.#now;
    return (now.view ??= viewRows(this.#batch, now.stacked, {
      inputs: (layer) => cutRows(now, layer),
      constants: (layer) => now.constants.get(layer) ?? {},
    }));
  }

  get hasCommonMatrix(): boolean {
    return [...this.#now.stacked.values()].some(({ common }) => Object.keys(common).length > 0);
  }

  has(adapter: Adapter): boolean {
    return this.#members.has(adapter);
  }

  add(member: RowMember): boolean {
    const rows = [...this.#members.values(), member, ...(this.takesNone ? [null] : [])];
    if (!areAlike(this.#batch, rows)) return false;
    for (const [path, place] of member.places) {
      if (!this.#places.has(path)) this.#places.set(path, place);
    }
    this.#members.set(member.adapter, member);
    if (!this.#hasRoomFor(member)) this.#remake(this.#now.rows.length);
    return true;
  }

  remove(adapter: Adapter): void {
    this.#members.delete(adapter);
    // No pass reads the row any more, but it must not count as assigned.
    this.#now.rows = this.#now.rows.map((row) => (row === adapter ? undefined : row));
  }

  get rows(): readonly (Adapter | null | undefined)[] {
    return this.#now.rows;
  }

  reserve(count: number): void {
    if (count + 1 > this.#now.rows.length)
      this.#remake(Math.max(count + 1, 2 * this.#now.rows.length, FIRST_ROWS));
  }

  place(start: number, adapters: readonly (Adapter | null)[]): void {
    this.#now.start = start;
    this.#now.count = adapters.length;
    for (const [i, adapter] of adapters.entries()) {
      this.#place(start + i, adapter && this.has(adapter) ? adapter : null);
    }
  }

  #place(row: number, adapter: Adapter | null): void {
    if (this.#now.rows[row] === adapter) return;
    const forms = adapter && this.#members.get(adapter)?.forms;
    for (const [place, { tensors }] of this.#now.stacked) {
      const form = forms?.get(place.path) ?? formOfBase(this.#batch, place);
      assertInternal(form, "rows without an adapter have a form where there are any");
      fillRow(form, tensors, row);
    }
    this.#now.rows[row] = adapter;
  }

  /** Whether the rows are large enough for an adapter at all of its places. */
  #hasRoomFor({ forms }: RowMember): boolean {
    return [...forms].every(([path, form]) => {
      const stack = this.#now.stacked.get(this.#places.get(path)!);
      return shapesOf(form).every(([suffix, shape]) => {
        const room = stack?.tensors[suffix]?.shape.slice(1);
        return room !== undefined && shape.every((size, axis) => size <= room[axis]!);
      });
    });
  }

  /** Makes rows large enough for every adapter; all adapters have to be placed again. */
  #remake(numRows: number): void {
    const old = this.#now.stacked;
    // A running pass may still read the old rows.
    const now = (this.#now = makeGeneration(numRows));
    const members = [...this.#members.values()];
    for (const [path, place] of this.#places) {
      // Common tensors come from the adapters at a place, so a place without any is dropped.
      if (!members.some(({ forms }) => forms.has(path))) {
        this.#places.delete(path);
        continue;
      }
      const all = [...members.map((member) => member.forms.get(path)), formOfBase(this.#batch, place)];
      const forms = all.flatMap((form) => form ?? []);
      const shapes = new Map<string, number[]>();
      const known = Object.entries(old.get(place)?.tensors ?? {});
      const rows = known.map(([suffix, { shape }]): SuffixShape => [suffix, shape.slice(1)]);
      for (const [suffix, shape] of [...rows, ...forms.flatMap(shapesOf)]) {
        const most = shapes.get(suffix) ?? shape;
        shapes.set(
          suffix,
          most.map((size, axis) => Math.max(size, sizeAt(shape, axis))),
        );
      }
      const tensors = Object.fromEntries(
        [...shapes].map(([suffix, shape]) => [suffix, zeros("float32", [numRows, ...shape])]),
      );
      const common = commonTensors(members, place);
      assertInternal(common, "members have the same frozen tensors");
      const bound = place.site && bindForm(this.#base, this.#method, place.site, common);
      const { options } = forms[0]!;
      now.stacked.set(place, { options, tensors, common, bound });
      const { layer, name } = place;
      for (const [suffix, tensor] of Object.entries(tensors))
        addTensor(now.inputs, layer, `${name}.${suffix}`, tensor);
      for (const [suffix, tensor] of Object.entries(common)) {
        if (suffix !== bound?.of) addTensor(now.common, layer, `${name}.${suffix}`, tensor);
      }
      if (bound) addTensor(now.constants, layer, `${name}.${bound.spec.suffix}`, bound.tensor);
    }
  }
}

/** Lists the tensors that programs of a layer read in the next pass: its range of rows, and shared ones whole. */
function cutRows(now: Generation, layer: number | null): Tensors {
  const range = `${now.start}, ${now.count}`;
  const cuts = now.cuts.get(range) ?? new Map<number | null, Record<string, HostTensor>>();
  now.cuts.set(range, cuts);
  let cut = cuts.get(layer);
  if (!cut) {
    cut = { ...now.common.get(layer) };
    for (const [name, { shape, data }] of Object.entries(now.inputs.get(layer) ?? {})) {
      const width = numElements(shape.slice(1));
      const rows = data.subarray(now.start * width, (now.start + now.count) * width);
      cut[name] = hostTensor("float32", [now.count, ...shape.slice(1)], rows);
    }
    cuts.set(layer, cut);
  }
  return cut;
}
