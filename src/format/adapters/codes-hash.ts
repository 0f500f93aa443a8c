/**
 * @file A hash of the whole numbers (codes) of the base that an adapter's programs read. With other codes of equal shapes an adapter
 * would compute nonsense.
 *
 * Frozen floats are not hashed: another machine may round them differently.
 */
import { UsageError } from "../../errors.ts";
import { bytesOf } from "../../graph/dtype.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { Sha256 } from "../../sha256.ts";

/** Key in the header of the tensors' file. */
export const CODES_KEY = "base_codes_sha256";

/** Makes the metadata that identifies the base's codes; empty when the adapter reads none. */
export function codesMetadata(adapter: Adapter): Readonly<Record<string, string>> {
  const codes = new Map<string, HostTensor>();
  for (const site of adapter.sites.values()) {
    const tensors = adapter.tensorsOf(site);
    for (const { suffix, saved, shared, dtype } of site.frozen) {
      if (saved || shared || dtype.includes("float")) continue;
      codes.set(`${site.path}.${suffix}`, tensors[suffix]!);
    }
  }
  if (codes.size === 0) return {};
  const hash = new Sha256();
  for (const [name, { shape, data }] of [...codes].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name} ${shape.join(",")}\n`);
    hash.update(bytesOf(data));
  }
  return { [CODES_KEY]: hash.digest() };
}

/**
 * Compares the codes that an adapter reads with the hash in its file, if there is one. `path`: of the adapter.
 * @throws UsageError "usage/adapter" when the adapter was trained on other codes than the base has.
 */
export function checkCodes(path: string, adapter: Adapter, metadata: Readonly<Record<string, string>>): void {
  const trained = metadata[CODES_KEY];
  if (trained === undefined) return;
  const own = codesMetadata(adapter)[CODES_KEY];
  // If the adapter reads no codes on this base, as when it only scales outputs, none can be wrong.
  if (own === undefined || own === trained) return;
  const show = (hash: string): string => hash.slice(0, 12);
  throw new UsageError(
    "usage/adapter",
    `Cannot use adapter "${path}" with this model: its weights have codes ${show(own)}, expected ${show(trained)}`,
    {
      hint: "Choose the base model that the adapter was trained on, in the same file format and quantization.",
    },
  );
}
