/**
 * @file Parts of encoders with attention by distances: terms of the scores from a table that all blocks read, and a convolution in
 * parallel to the first block.
 *
 * Paper: "DeBERTa", arXiv:2006.03654, section 3; the convolution comes from the code of version 2.
 */
import { z } from "zod";
import { add } from "../../../graph/ops/pointwise/elementwise.ts";
import { reshape } from "../../../graph/ops/shapes/reshape.ts";
import { distanceBias } from "../../../nn/distance-bias.ts";
import { bucketRows } from "../../../nn/log-buckets.ts";
import { layerNorm } from "../../../nn/norms.ts";
import { tokenConv } from "../../../nn/token-conv.ts";
import { MAX_DISTANCES } from "../../../untrusted/limits.ts";
import type { RawConfig } from "../../family.ts";
import { ACTIVATION, activationOf } from "../../config/activation-config.ts";
import { unusable } from "../../config/hf-config.ts";
import type { EncoderParts } from "../../blocks/encoder.ts";

const KNOWN_TERMS = ["c2p", "p2c"];
/** The terms of scores: contents with distances, distances with contents. */
const TERMS = z
  .union([z.string().transform((terms) => terms.split("|").map((term) => term.trim())), z.array(z.string())])
  .nullable()
  .default([])
  .refine((terms) => !terms?.some((term) => !KNOWN_TERMS.includes(term)), {
    message: `expected ${KNOWN_TERMS.join(" or ")}, or both`,
  })
  .transform((terms) => terms ?? []);

export const DISTANCE_FIELDS = {
  attention_head_size: z.int().nullish(),
  relative_attention: z.boolean().default(false),
  max_relative_positions: z.int().default(-1),
  position_buckets: z.int().default(-1),
  share_att_key: z.boolean().default(false),
  norm_rel_ebd: z.enum(["none", "layer_norm"]).default("none"),
  pos_att_type: TERMS,
  conv_kernel_size: z.literal([0, 3]).default(0),
  conv_groups: z.literal(1).default(1),
  conv_act: ACTIVATION.default("tanh"),
};
const FIELDS = z.object({
  ...DISTANCE_FIELDS,
  hidden_size: z.int(),
  num_attention_heads: z.int(),
  max_position_embeddings: z.int(),
  layer_norm_eps: z.number(),
});
type Fields = z.output<typeof FIELDS>;

/** Paths of projections inside a block, and whole paths of modules outside the blocks. */
interface DistanceNames {
  readonly query: string;
  readonly key: string;
  /** Projections of the table, if it is not projected like queries and keys. */
  readonly tableQuery: string;
  readonly tableKey: string;
  readonly table: string;
  readonly tableNorm: string;
  readonly conv: string;
  readonly convNorm: string;
}

/** Makes the parts of an encoder. @throws UsageError "usage/model" for impossible buckets */
export function distanceParts(
  raw: RawConfig,
  c: Fields,
  names: DistanceNames,
): Pick<EncoderParts, "scores" | "first"> {
  const { hidden_size: width, num_attention_heads: numHeads, pos_att_type: terms } = c;
  const headWidth = width / numHeads;
  if ((c.attention_head_size ?? headWidth) !== headWidth)
    throw unusable(raw, `attention_head_size is ${c.attention_head_size} (expected ${headWidth})`);
  const scale = (headWidth * (1 + new Set(terms).size)) ** -0.5;
  const norm = layerNorm(c.layer_norm_eps);
  const first: EncoderParts["first"] = (b, x, y) => {
    const mixed = activationOf(c.conv_act)(tokenConv(b, `/${names.conv}`, x, c.conv_kernel_size));
    return norm(b, `/${names.convNorm}`, add(y, mixed));
  };
  return {
    scores: {
      scale,
      ...(readsDistances(c) ? { biasOf: distanceBias(distanceTerms(raw, c, names, scale)) } : {}),
    },
    ...(c.conv_kernel_size > 0 ? { first } : {}),
  };
}

/** Whether scores have terms for distances. */
export function readsDistances(c: Pick<Fields, "relative_attention" | "pos_att_type">): boolean {
  return c.relative_attention && c.pos_att_type.length > 0;
}

function distanceTerms(
  raw: RawConfig,
  c: Fields,
  names: DistanceNames,
  scale: number,
): Parameters<typeof distanceBias>[0] {
  const { hidden_size: width, position_buckets: numBuckets, share_att_key: isShared } = c;
  const limit = c.max_relative_positions < 1 ? c.max_position_embeddings : c.max_relative_positions;
  const hasBuckets = numBuckets > 0;
  if (Math.max(limit, numBuckets) > MAX_DISTANCES) {
    throw unusable(
      raw,
      `${Math.max(limit, numBuckets)} distances have rows (expected at most ${MAX_DISTANCES})`,
    );
  }
  if (hasBuckets && (numBuckets < 4 || limit - 1 <= Math.floor(numBuckets / 2))) {
    throw unusable(
      raw,
      `position_buckets is ${numBuckets} (expected 4 at least, and less than two for each of ${limit} positions)`,
    );
  }
  const numRows = hasBuckets ? numBuckets : limit;
  const norm = layerNorm(c.layer_norm_eps);
  const keys = isShared
    ? ({ name: names.key, role: "key" } as const)
    : ({ name: names.tableKey, role: "other" } as const);
  const queries = isShared
    ? ({ name: names.query, role: "query" } as const)
    : ({ name: names.tableQuery, role: "other" } as const);
  return {
    rows: bucketRows({ numRows, limit, hasBuckets }, Math.min(c.max_position_embeddings, MAX_DISTANCES)),
    table: (b) => {
      const rows = b.tensor(`/${names.table}.weight`, [2 * numRows, width], "embedding");
      const table = c.norm_rel_ebd === "layer_norm" ? norm(b, `/${names.tableNorm}`, rows) : rows;
      return reshape(table, [1, 2 * numRows, width]);
    },
    numHeads: c.num_attention_heads,
    scale,
    key: c.pos_att_type.includes("c2p") ? keys : null,
    query: c.pos_att_type.includes("p2c") ? queries : null,
  };
}
