/** @file What a training and texts met beside each other, as a table and numbers. */
import type { ServiceTargets } from "../../src/engine/scheduling/service-targets.ts";
import type { Outcome } from "../bench.ts";
import type { Progress } from "./served-training.ts";
import { rounded } from "../harness/statistics.ts";
import { type WrittenText, numInTime, percentiles } from "./text-load.ts";

/** A training and texts for some time. */
export interface CoServed {
  readonly name: string;
  /** Texts a second. */
  readonly rate: number;
  /** Null: nothing was trained. */
  readonly progress: Progress | null;
  readonly texts: readonly WrittenText[];
}

/** What a training is to keep of its speed. */
const KEPT = 0.8;

/** Reports rows. `alone`: runs of the same training without texts; `baselines`: names of rows that the others are divided by. */
export function reportCoServing(
  rows: readonly CoServed[],
  alone: readonly Progress[],
  targets: ServiceTargets,
  baselines: readonly string[],
): Pick<Outcome, "table" | "results"> {
  const met = ({ texts }: CoServed): number => numInTime(texts, targets);
  const speedOf = ({ progress }: CoServed): number | null => progress && speedAgainst(progress, alone);
  const found = baselines.flatMap((name) => rows.find((row) => row.name === name) ?? []);
  const against = (row: CoServed): string[] =>
    found.map((base) =>
      baselines.includes(row.name) || base.rate !== row.rate ? "" : showTimes(met(row), row, met(base), base),
    );
  const kept = rows.filter(
    (row) => !baselines.includes(row.name) && (speedOf(row) ?? 0) >= KEPT && met(row) === row.texts.length,
  );
  const largest = kept.length > 0 ? Math.max(...kept.map(({ rate }) => rate)) : null;
  const numbersOf = ({ progress, texts }: CoServed): Record<string, string> => ({
    wait_ms: percentiles(texts.map(({ waitMs }) => waitMs)),
    first_token_ms: percentiles(texts.map(({ firstTokenMs }) => firstTokenMs)),
    token_ms: percentiles(texts.map(({ tokenMs }) => tokenMs)),
    block_ms: percentiles(progress?.blockMs ?? []),
  });
  const columns = ["ms (p50, p95, most) of a wait", "a first token", "a token", "a block of the training"];
  const rest = ["", "", ...baselines.map(() => ""), ...columns.map(() => "")];
  return {
    table: {
      head: [
        "",
        "texts a second",
        "training speed",
        "in time",
        ...baselines.map((name) => `against ${name}`),
        ...columns,
      ],
      rows: [
        ...rows.map((row) => {
          const speed = speedOf(row);
          const shown = [`${row.rate}`, speed === null ? "" : `${rounded(speed, 2)}×`];
          const inTime = `${met(row)} of ${row.texts.length}`;
          return [row.name, ...shown, inTime, ...against(row), ...Object.values(numbersOf(row))];
        }),
        [
          `most texts with ${KEPT}× and all in time`,
          largest === null ? "none of these" : `${largest}`,
          ...rest,
        ],
      ],
    },
    results: {
      targets: { ...targets },
      alone_ms_a_step: alone.map(({ stepMs }) => rounded((stepMs.at(-1) ?? 0) / stepMs.length, 0)),
      largest_rate: largest,
      rows: rows.map((row) => {
        const speed = speedOf(row);
        return {
          name: row.name,
          rate: row.rate,
          texts: row.texts.length,
          in_time: met(row),
          training_speed: speed === null ? null : rounded(speed, 3),
          ...numbersOf(row),
        };
      }),
    },
  };
}

/** How fast a training was, of its speed alone: the same steps, of the same rows, in each. 0: it had none that is timed. */
export function speedAgainst({ stepMs }: Progress, alone: readonly Progress[]): number {
  const count = Math.min(stepMs.length, ...alone.map((one) => one.stepMs.length));
  if (count === 0) return 0;
  const at = (ms: readonly number[]): number => ms[count - 1] ?? Number.NaN;
  return alone.reduce((sum, one) => sum + at(one.stepMs), 0) / alone.length / at(stepMs);
}

/** How many times as many texts were in time, of equally many; where none was, as if one had been. */
function showTimes(met: number, { texts }: CoServed, baseMet: number, base: CoServed): string {
  const times = met / texts.length / (Math.max(1, baseMet) / base.texts.length);
  return `${baseMet === 0 ? "≥ " : ""}${times.toFixed(1)}×`;
}
