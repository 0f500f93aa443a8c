/**
 * @file A hash of the whole numbers that an adapter's programs take from the base: an adapter on other codes than its own
 * would compute nonsense, in the right shapes.
 *
 * Frozen floats are left out: another machine may round them another way.
 */
import { createHash } from "node:crypto";
import { UsageError } from "../../errors.ts";
import type { Adapter } from "../../peft/attach.ts";

/** Key in the head of the tensors' file. */
export const CODES_KEY = "base_codes_sha256";

/** What the head of an adapter's file says of the base's codes; nothing when the adapter reads none. */
export function codesMetadata({ sites, frozen }: Adapter): Readonly<Record<string, string>> {
  const names = [...sites.values()].flatMap(({ path, frozen: specs }) =>
    specs
      .filter(({ saved, shared, dtype }) => !saved && !shared && !dtype.includes("float"))
      .map(({ suffix }) => `${path}.${suffix}`),
  );
  if (names.length === 0) return {};
  const hash = createHash("sha256");
  for (const name of names.sort()) {
    const { shape, data } = frozen.get(name)!;
    hash.update(`${name} ${shape.join(",")}\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return { [CODES_KEY]: hash.digest("hex") };
}

/**
 * Holds an adapter that was read against the head of its file, where that says anything. `path`: of the adapter.
 * @throws UsageError "usage/adapter" when the adapter was trained on other codes than the base has.
 */
export function checkCodes(path: string, adapter: Adapter, metadata: Readonly<Record<string, string>>): void {
  const trained = metadata[CODES_KEY];
  if (trained === undefined) return;
  const own = codesMetadata(adapter)[CODES_KEY];
  if (own === trained) return;
  const show = (hash: string | undefined): string => hash?.slice(0, 12) ?? "none";
  throw new UsageError(
    "usage/adapter",
    `Cannot use adapter "${path}" with this model: its weights have codes ${show(own)}, expected ${show(trained)}`,
    {
      hint: "Choose the base model that the adapter was trained on, in the same file format and quantization",
    },
  );
}
