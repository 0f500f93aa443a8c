/** @file Which adapters rows may have beside each other in one set: those that programs read alike. */
import { UsageError } from "../errors.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import type { RowBatch, RowForm } from "./method.ts";
import { type RowMember, type RowPlace, formOfBase } from "./row-forms.ts";
import type { Frozen } from "./site.ts";

/** How rows have these adapters, and nothing (null). @throws UsageError "usage/adapter" when they cannot share a batch. */
export function requireAlike(members: readonly (RowMember | null)[]): RowBatch<unknown> {
  const present = members.flatMap((member) => member ?? []);
  const batch = commonBatch(present);
  for (const place of placesOf(present).values()) {
    // First what is trained, which tells adapters of other settings: those have other frozen tensors too.
    const [first, ...others] = formsAt(batch, members, place) as [RowForm<unknown>, ...RowForm<unknown>[]];
    for (const [index, { options }] of others.entries()) {
      if (JSON.stringify(options) === JSON.stringify(first.options)) continue;
      throw new UsageError(
        "usage/adapter",
        `Cannot put adapters 1 and ${index + 2} in one batch: at "${place.path}" ${difference(first.options, options)}`,
        { hint: "Run the requests of adapters with other settings on their own." },
      );
    }
    commonTensors(present, place);
  }
  requireSameShared(present);
  return batch;
}

/** Places of all, by path. */
export function placesOf(members: readonly RowMember[]): Map<string, RowPlace> {
  return new Map(members.flatMap(({ places }) => [...places]));
}

/** What each has at a place. @throws UsageError "usage/adapter" when one has nothing, and rows must have something */
export function formsAt(
  batch: RowBatch<unknown>,
  members: readonly (RowMember | null)[],
  place: RowPlace,
): RowForm<unknown>[] {
  return members.map((member) => member?.forms.get(place.path) ?? formOfBase(batch, place));
}

/** How rows of all have theirs. @throws UsageError "usage/adapter" when methods differ in it, or there is none */
function commonBatch(members: readonly RowMember[]): RowBatch<unknown> {
  const [first] = members;
  if (first && members.every(({ batch }) => batch.adapt === first.batch.adapt)) return first.batch;
  const names = new Set(members.map(({ adapter }) => `"${adapter.method.name}"`));
  throw new UsageError(
    "usage/adapter",
    `Cannot put adapters in one batch: they are of ${[...names].join(" and ") || "no method"}, expected one method`,
    { hint: "Run the requests of each method on their own." },
  );
}

/** All sites of an adapter share some tensors, and so do rows. @throws UsageError "usage/adapter" when adapters have others */
function requireSameShared(members: readonly RowMember[]): void {
  const known = new Map<string, HostTensor>();
  for (const [index, { adapter }] of members.entries()) {
    for (const [suffix, tensor] of adapter.shared) {
      const first = known.get(suffix) ?? tensor;
      known.set(suffix, first);
      if (haveSameValues(first, tensor)) continue;
      throw new UsageError(
        "usage/adapter",
        `Cannot put adapters in one batch: adapter ${index + 1} has another ${suffix} than those before it, expected the same`,
        {
          hint: "Run the requests of adapters that were made with other seeds, ranks or modules on their own.",
        },
      );
    }
  }
}

function haveSameValues({ data: a }: HostTensor, { data: b }: HostTensor): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The frozen tensors that are the same for all. @throws UsageError "usage/adapter" when adapters have others there */
export function commonTensors(members: readonly RowMember[], { path, site: place }: RowPlace): Frozen {
  const common: Record<string, HostTensor> = {};
  const frozen = place?.frozen ?? [];
  for (const { suffix, shared } of frozen.filter(({ saved, shared }) => shared || !saved)) {
    for (const [index, { adapter }] of members.entries()) {
      const site = adapter.sites.get(path);
      if (!site) continue;
      const own = adapter.tensorsOf(site)[suffix];
      const known = (common[suffix] ??= own as HostTensor);
      if (shared || own?.data === known.data) continue;
      throw new UsageError(
        "usage/adapter",
        `Cannot put adapters in one batch: adapter ${index + 1} has other frozen tensors at "${path}" than those before it, expected the same`,
        { hint: "Run the requests of adapters that were made on other codes on their own." },
      );
    }
  }
  return common;
}

/** Says in what two options of a site differ. */
function difference(a: unknown, b: unknown): string {
  const [one, other] = [a, b].map((options) => Object(options) as Record<string, unknown>);
  const keys = Object.keys({ ...one, ...other });
  const unequal = keys.filter((key) => JSON.stringify(one?.[key]) !== JSON.stringify(other?.[key]));
  return unequal
    .map((key) => `${key} is ${JSON.stringify(one?.[key])} and ${JSON.stringify(other?.[key])}`)
    .join(", ");
}
