/** @file Tells which adapters can share one set of rows: those that the same programs can read. */
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { StackedBatch } from "../contract/batch-rule.ts";
import { type RowMember, type RowPlace, formOfBase } from "./row-forms.ts";
import type { Frozen } from "../sites/site.ts";

/** Whether the rows of one stack can have these adapters; a null among them stands for rows without one. */
export function areAlike(batch: StackedBatch<unknown>, rows: readonly (RowMember | null)[]): boolean {
  const members = rows.filter((member) => member !== null);
  if (members.some(({ batch: own }) => own.added !== null || own.adapt !== batch.adapt)) return false;
  const places = new Map(members.flatMap((member) => [...member.places]));
  const areAlikeAt = (place: RowPlace): boolean => {
    const forms = rows.map((member) => member?.forms.get(place.path) ?? formOfBase(batch, place));
    const options = forms.map((form) => form && JSON.stringify(form.options));
    return !options.includes(null) && new Set(options).size === 1 && commonTensors(members, place) !== null;
  };
  return [...places.values()].every(areAlikeAt) && haveSameShared(members);
}

/** Whether the tensors that all sites of an adapter share are the same for all adapters, as rows share them too. */
function haveSameShared(members: readonly RowMember[]): boolean {
  const known = new Map<string, HostTensor>();
  return members.every(({ adapter }) =>
    [...adapter.shared].every(([suffix, tensor]) => {
      const first = known.get(suffix) ?? tensor;
      known.set(suffix, first);
      return haveSameValues(first, tensor);
    }),
  );
}

function haveSameValues({ data: a }: HostTensor, { data: b }: HostTensor): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Returns the frozen tensors that all members share; null if they differ. */
export function commonTensors(members: readonly RowMember[], { path, site: place }: RowPlace): Frozen | null {
  const common: Record<string, HostTensor> = {};
  for (const { suffix, saved, shared } of place?.frozen ?? []) {
    if (saved && !shared) continue;
    for (const { adapter } of members) {
      const site = adapter.sites.get(path);
      if (!site) continue;
      const own = adapter.tensorsOf(site)[suffix];
      const known = (common[suffix] ??= own!);
      if (!shared && own?.data !== known.data) return null;
    }
  }
  return common;
}
