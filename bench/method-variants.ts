/** @file The methods as the comparison runs them: flags of `graft train`, with a learning rate that suits each. */

/** A way of training: its name in the table, and the flags that say it. */
export interface Variant {
  readonly name: string;
  readonly flags: readonly string[];
}

function variant(name: string, flags: string): Variant {
  return { name, flags: flags.split(" ") };
}

const LORA = "--method lora --rank 8 --learning-rate 1e-3";
const lora = variant("lora", LORA);

/** All methods; the first is what the others are held against. */
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

/** LoRA with its base in float32 in memory, as it runs by default, and the scales of ever fewer bits. */
const MEMORY: readonly Variant[] = [
  variant("lora-held", `${LORA} --weights float32`),
  lora,
  variant("lora-low", `${LORA} --gradient-checkpointing on`),
  variant("peqa-4-low", `--method peqa --bits 4 ${LOW}`),
  variant("peqa-3-low", `--method peqa --bits 3 ${LOW}`),
  variant("peqa-2-low", `--method peqa --bits 2 ${LOW}`),
];

/** Rows of one table, by what the table is about. */
export const TABLES: Readonly<Record<string, readonly Variant[]>> = { all: ALL, memory: MEMORY };

/** All ways of training. */
export const VARIANTS: readonly Variant[] = [...new Set([...ALL, ...MEMORY])];
