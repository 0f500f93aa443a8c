/** @file The methods in the comparison: flags of `graft train`, with a suitable learning rate for each. */
import { wordsOf } from "../harness/command-line.ts";

/** A way of training: its name in the table, and its flags. */
export interface Variant {
  readonly name: string;
  readonly flags: readonly string[];
}

function variant(name: string, flags: string): Variant {
  return { name, flags: wordsOf(flags) };
}

const LORA = "--method lora --rank 8 --learning-rate 1e-3";
const lora = variant("lora", LORA);

/** All methods; the others are compared with the first. */
const ALL: readonly Variant[] = [
  lora,
  variant("dora", "--method dora --rank 8 --learning-rate 1e-3"),
  variant("ia3", "--method ia3 --learning-rate 1e-2"),
  variant("vera", "--method vera --learning-rate 1e-2"),
  variant("bitfit", "--method bitfit --learning-rate 2e-3"),
  variant("road-1", "--method road --variant road_1 --learning-rate 5e-3"),
  variant("road-2", "--method road --variant road_2 --learning-rate 5e-3"),
  variant("road-4", "--method road --variant road_4 --learning-rate 5e-3"),
  variant("snell", "--method snell --rank 8 --learning-rate 1e-3"),
  variant("peqa-4", "--method peqa --bits 4 --group-size 32 --learning-rate 1e-4"),
  variant("peqa-3", "--method peqa --bits 3 --group-size 32 --learning-rate 1e-4"),
  variant("peqa-2", "--method peqa --bits 2 --group-size 32 --learning-rate 2e-4"),
  variant("full", "--method full --learning-rate 2e-5"),
];

const LOW = "--group-size 0 --init rtn --gradient-checkpointing on --learning-rate 1e-4";

/** LoRA with its base in float32 in memory, by default and with checkpointing, and PEQA with fewer and fewer bits. */
const MEMORY: readonly Variant[] = [
  variant("lora-held", `${LORA} --weights float32`),
  lora,
  variant("lora-low", `${LORA} --gradient-checkpointing on`),
  variant("peqa-4-low", `--method peqa --bits 4 ${LOW}`),
  variant("peqa-3-low", `--method peqa --bits 3 ${LOW}`),
  variant("peqa-2-low", `--method peqa --bits 2 ${LOW}`),
];

const FULL = "--method full --learning-rate 2e-5";

/** Variants that leave out shares of the backward pass, and with products of 8 bits. */
const dropped = (name: string, flags: string): Variant[] => [
  variant(name, flags),
  ...[0.5, 0.75, 0.875].map((rate) =>
    variant(`${name}-drop-${rate}`, `${flags} --dropbp ${rate} --dropbp-rates uniform`),
  ),
];
const INT8: readonly Variant[] = [
  lora,
  variant("lora-int8", `${LORA} --compute int8`),
  variant("lora-int8-drop-0.875", `${LORA} --compute int8 --dropbp 0.875 --dropbp-rates uniform`),
];

/** Variants whose loss is compared with exact training, with one method and learning rate. */
export const PARITY: readonly Variant[] = ["f32", "int8"].flatMap((compute) => [
  variant(compute, `--compute ${compute}`),
  ...["norm", "uniform"].flatMap((rates) =>
    [0.5, 0.75, 0.875].map((rate) =>
      variant(
        `${compute}-drop-${rate}-${rates}`,
        `--compute ${compute} --dropbp ${rate} --dropbp-rates ${rates}`,
      ),
    ),
  ),
]);

/** Rows of each table, by its topic. */
export const TABLES: Readonly<Record<string, readonly Variant[]>> = {
  all: ALL,
  memory: MEMORY,
  dropbp: dropped("lora", LORA),
  "dropbp-full": dropped("full", FULL),
  int8: INT8,
};

/** All ways of training. */
export const VARIANTS: readonly Variant[] = [
  ...new Map(Object.values(TABLES).flatMap((rows) => rows.map((row) => [row.name, row]))).values(),
];
