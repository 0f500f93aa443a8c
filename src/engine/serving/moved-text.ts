/**
 * @file An unfinished text as JSON, which another engine can continue: its settings and ids.
 *
 * The other engine computes keys and values again and skips the draws that were made, so that the text is the same.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { checkArguments, IDS, lazily } from "../../messages/arguments.ts";
import { showValue } from "../../messages/expected.ts";
import { withTextSettings } from "./text-settings.ts";
import type { Penalties } from "../sampling/penalties.ts";
import type { ServeRequest } from "./serve-request.ts";

/** Settings that are copied unchanged. */
const KEPT = [
  "promptIds",
  "maxNewTokens",
  "minNewTokens",
  "stopIds",
  "sampling",
  "seed",
  "isBatchInvariant",
  "topLogProbs",
] as const satisfies readonly (keyof ServeRequest)[];
type Kept = Pick<ServeRequest, (typeof KEPT)[number]>;

const NEW_IDS = lazily(() => z.strictObject({ newIds: IDS }));
const MOVED = lazily(() =>
  z.strictObject({
    moved: z.looseObject({
      adapter: z.string().nullable(),
      penalties: z.looseObject({ bias: z.array(z.array(z.number())) }).nullable(),
    }),
  }),
);

/** A text as JSON holds it. */
export interface MovedText extends Kept, Pick<ServeRequest, "writtenIds"> {
  readonly version: 1;
  readonly adapter: string | null;
  readonly penalties:
    | (Omit<Penalties, "bias"> & { readonly bias: readonly (readonly [number, number])[] })
    | null;
}

/**
 * Describes a text by its request and the ids written so far, as JSON.
 * @throws UsageError "usage/flag" for one that follows a grammar, has a reader, or whose adapter has no name
 */
export function exportText(request: ServeRequest, newIds: readonly number[]): MovedText {
  checkArguments("exportText", NEW_IDS, { newIds });
  const { adapter = null, penalties, grammar, reader, writtenIds = [] } = withTextSettings(request);
  if (grammar || reader || (adapter !== null && typeof adapter !== "string")) {
    throw new UsageError(
      "usage/flag",
      "Cannot export a text: it follows a grammar, reports on its prompt or has an unnamed adapter, expected only ids and a name",
      { hint: "Let it finish where it is." },
    );
  }
  const given = KEPT.filter((key) => request[key] !== undefined).map((key) => [key, request[key]]);
  return {
    version: 1,
    ...(Object.fromEntries(given) as Kept),
    adapter,
    penalties: penalties ? { ...penalties, bias: [...penalties.bias] } : null,
    writtenIds: [...writtenIds, ...newIds],
  };
}

/**
 * Makes the request that continues an exported text: it reports only new tokens.
 * @throws UsageError "usage/flag" for the export of another version, or a value that is no such text
 */
export function importText(moved: MovedText): ServeRequest {
  checkArguments("importText", MOVED, { moved });
  const { version, penalties, ...text } = moved;
  if (version !== 1) {
    throw new UsageError("usage/flag", `Cannot import a text: version ${showValue(version)}, expected 1`, {
      hint: "Export it with this version of graft.",
    });
  }
  return withTextSettings({
    ...text,
    ...(penalties && { penalties: { ...penalties, bias: new Map(penalties.bias) } }),
  });
}
