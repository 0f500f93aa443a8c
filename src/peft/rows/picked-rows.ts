/**
 * @file Row sets for adapters whose forms are as large as weights: each form stays in memory once, and the rows that have it are picked.
 *
 *   y[b] = x[b] Wᵀ + bias + f_k(x[b])     f_k: of the adapter k of row b, computed only for its rows
 *
 * Each adapter has a place in the programs, which another can take after it is removed.
 */
import type { Value } from "../../graph/graph.ts";
import { addRows, gatherRows } from "../../graph/ops/rows/gather-scatter.ts";
import { splitRows } from "../../graph/ops/rows/split-rows.ts";
import { dimAt } from "../../graph/shape.ts";
import { type HostTensor, hostTensor, type Tensors } from "../../runtime/host-tensor.ts";
import type { AdapterView } from "../adapter-view.ts";
import type { Adapter } from "../attach.ts";
import type { PickedBatch } from "../contract/batch-rule.ts";
import { type RowMember, keyOf } from "./row-forms.ts";
import type { RowSet } from "./row-set.ts";
import type { SiteTensors } from "../sites/site.ts";

/** The part of a place that programs depend on: the sizes of its tensors, by layer and module. */
type Sizes = ReadonlyMap<string, Readonly<Record<string, readonly number[]>>>;

/** The place of an adapter in the programs. */
interface Picked {
  /** Null: it was removed, and no row is picked. */
  member: RowMember | null;
  readonly sizes: Sizes;
  /** Tensors by layer and module. After the adapter was removed, they are those of another one, which no row reads. */
  tensors: ReadonlyMap<string, SiteTensors>;
}

/** The places until programs change. A pass that has begun keeps reading those that it began with. */
interface Generation {
  readonly places: readonly Picked[];
  /** Inputs that say which rows of the next pass pick which place. */
  picked: Readonly<Record<string, HostTensor<"int64">>>;
  /** The rows that `picked` was made for; null: places have changed since. */
  rows: readonly (Adapter | null)[] | null;
  /** Inputs by layer, made at the first request. */
  readonly inputs: Map<number | null, Tensors>;
  view: AdapterView | null;
}

/** Inputs of a site: the row indices ordered by place, those without an adapter last; and the number of rows of each place. */
const ROWS = "rows";
const COUNTS = "counts";
const inputName = (suffix: string, index: number): string => `${suffix}#${index}`;

export class PickedRows implements RowSet {
  readonly takesNone = true;
  readonly hasCommonMatrix = true;
  readonly #batch: PickedBatch<unknown>;
  #rows: (Adapter | null | undefined)[] = [];
  #now = makeGeneration([]);

  constructor(batch: PickedBatch<unknown>, first: RowMember) {
    this.#batch = batch;
    this.add(first);
  }

  get view(): AdapterView {
    const now = this.#now;
    const sizes = now.places.map((place) => place.sizes);
    return (now.view ??= viewPicked(this.#batch, sizes, (layer) => inputsOf(now, layer)));
  }

  get rows(): readonly (Adapter | null | undefined)[] {
    return this.#rows;
  }

  has(adapter: Adapter): boolean {
    return this.#now.places.some(({ member }) => member?.adapter === adapter);
  }

  add(member: RowMember): boolean {
    if (member.batch !== this.#batch) return false;
    if (this.has(member.adapter)) return true;
    const { places } = this.#now;
    const tensors = tensorsOf(member);
    const sizes = sizesOf(tensors);
    const free = places.find((place) => place.member === null && areSame(place.sizes, sizes));
    if (free) Object.assign(free, { member, tensors });
    this.#change(free ? places : [...places, { member, sizes, tensors }]);
    return true;
  }

  remove(adapter: Adapter): void {
    this.#rows = this.#rows.map((row) => (row === adapter ? undefined : row));
    const { places } = this.#now;
    const left = places.filter(({ member }) => member !== null && member.adapter !== adapter);
    const kept = places.filter((place) => {
      if (left.includes(place)) return true;
      place.member = null;
      const like = left.find(({ sizes }) => areSame(sizes, place.sizes));
      if (like) place.tensors = like.tensors;
      return like !== undefined;
    });
    this.#change(kept.length === places.length ? places : kept);
  }

  /** Sets the places; programs stay the same if these do. */
  #change(places: readonly Picked[]): void {
    if (places !== this.#now.places) this.#now = makeGeneration(places);
    this.#now.inputs.clear();
    this.#now.rows = null;
  }

  reserve(count: number): void {
    while (this.#rows.length < count + 1) this.#rows.push(undefined);
  }

  place(start: number, adapters: readonly (Adapter | null)[]): void {
    const now = this.#now;
    const own = adapters.map((adapter) => (adapter && this.has(adapter) ? adapter : null));
    this.#rows.splice(start, own.length, ...own);
    // Most steps have the same rows as the step before.
    if (now.rows?.length === own.length && own.every((adapter, i) => adapter === now.rows?.[i])) return;
    const of = now.places.map(({ member }) => member?.adapter);
    const placeOf = own.map((adapter) => (adapter ? of.indexOf(adapter) : of.length));
    const rows = [...own.keys()].sort((a, b) => placeOf[a]! - placeOf[b]! || a - b);
    const counts = [...of.keys(), of.length].map((place) => placeOf.filter((one) => one === place).length);
    now.picked = { [ROWS]: integers(rows), [COUNTS]: integers(counts) };
    now.rows = own;
    now.inputs.clear();
  }
}

function makeGeneration(places: readonly Picked[]): Generation {
  return { places, picked: {}, rows: null, inputs: new Map(), view: null };
}

/** Lists the tensors that programs of a layer read in the next pass. */
function inputsOf({ places, picked, inputs }: Generation, layer: number | null): Tensors {
  const known = inputs.get(layer);
  if (known) return known;
  const made: Record<string, HostTensor> = {};
  for (const [index, { tensors }] of places.entries()) {
    for (const [key, own] of tensors) {
      const name = nameIn(layer, key);
      if (name === null) continue;
      for (const [suffix, tensor] of Object.entries(own))
        made[`${name}.${inputName(suffix, index)}`] = tensor;
      for (const [suffix, tensor] of Object.entries(picked)) made[`${name}.${suffix}`] = tensor;
    }
  }
  inputs.set(layer, made);
  return made;
}

function integers(values: readonly number[]): HostTensor<"int64"> {
  return hostTensor("int64", [values.length], BigInt64Array.from(values, BigInt));
}

/** Returns the name of a module if it belongs to the layer; else null. */
function nameIn(layer: number | null, key: string): string | null {
  const prefix = keyOf({ layer, name: "" });
  return key.startsWith(prefix) ? key.slice(prefix.length) : null;
}

function tensorsOf({ places, forms }: RowMember): ReadonlyMap<string, SiteTensors> {
  return new Map([...places].map(([path, place]) => [keyOf(place), forms.get(path)?.tensors ?? {}]));
}

function sizesOf(tensors: ReadonlyMap<string, SiteTensors>): Sizes {
  const sorted = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(
    sorted.map(([key, own]) => [
      key,
      Object.fromEntries(Object.entries(own).map(([suffix, { shape }]) => [suffix, shape])),
    ]),
  );
}

function areSame(a: Sizes, b: Sizes): boolean {
  return JSON.stringify([...a]) === JSON.stringify([...b]);
}

/** Makes the view of adapters at their places. */
function viewPicked(
  { added }: PickedBatch<unknown>,
  places: readonly Sizes[],
  inputs: AdapterView["inputs"],
): AdapterView {
  return {
    inputs,
    constants: () => ({}),
    trained: () => [],
    lookUp: (graph) => graph.rows,
    readTensor: () => (graph) => graph.value,
    projector: (layer) => (graph, x) => {
      let y = graph.project(x);
      const key = keyOf({ layer, name: graph.spec.name });
      if (places.every((sizes) => !sizes.has(key))) return y;
      const numParts = places.length + 1;
      const counts = graph.input(COUNTS, [numParts], "int64");
      const picked = splitRows(graph.input(ROWS, [dimAt(x.shape, 0)], "int64"), counts, numParts);
      for (const [index, sizes] of places.entries()) {
        const own = sizes.get(key);
        if (!own) continue;
        const values: Record<string, Value> = {};
        for (const [suffix, shape] of Object.entries(own))
          values[suffix] = graph.input(inputName(suffix, index), shape, "float32");
        const rows = picked[index]!;
        y = addRows(y, added(gatherRows(x, rows), values), rows);
      }
      return y;
    },
    signature: (layer) =>
      JSON.stringify([
        "picked rows",
        ...places.map((sizes) =>
          [...sizes].flatMap(([key, own]) => {
            const name = nameIn(layer, key);
            return name === null ? [] : [[name, own]];
          }),
        ),
      ]),
  };
}
