/** @file Reports how a training and texts ran beside each other, as a table and numbers. */
import type { ServiceTargets } from "../../src/engine/scheduling/service-targets.ts";
import type { Outcome, Table } from "../bench.ts";
import type { Progress } from "./served-training.ts";
import { rounded } from "../harness/statistics.ts";
import { type WrittenText, numInTime, percentiles } from "./text-load.ts";

/** A run of a training beside texts. */
export interface CoServed {
  readonly name: string;
  /** Texts a second. */
  readonly rate: number;
  /** Null: nothing was trained. */
  readonly progress: Progress | null;
  readonly texts: readonly WrittenText[];
}

/** Share of its speed that a training should keep. */
const KEPT = 0.8;

/** Reports rows. `alone`: runs of the same training without texts; `baselines`: names of rows with which others are compared. */
export function reportCoServing(
  rows: readonly CoServed[],
  alone: readonly Progress[],
  targets: ServiceTargets,
  baselines: readonly string[],
): Outcome {
  const told = rows.map((row): Told => {
    const speed = row.progress && speedAgainst(row.progress, alone);
    return { ...row, speed, met: numInTime(row.texts, targets), times: timesOf(row) };
  });
  const kept = told.filter(
    ({ name, speed, met, texts }) =>
      !baselines.includes(name) && (speed ?? 0) >= KEPT && met === texts.length,
  );
  const largest = kept.length > 0 ? Math.max(...kept.map(({ rate }) => rate)) : null;
  return {
    table: tableOf(told, baselines, largest),
    results: {
      targets: { ...targets },
      alone_ms_a_step: alone.map(({ stepMs }) => rounded((stepMs.at(-1) ?? 0) / stepMs.length, 0)),
      largest_rate: largest,
      rows: told.map(({ name, rate, texts, met, speed, times }) => ({
        name,
        rate,
        texts: texts.length,
        in_time: met,
        training_speed: speed === null ? null : rounded(speed, 3),
        ...times,
      })),
    },
  };
}

interface Told extends CoServed {
  /** Speed of the training relative to that without texts; null: nothing was trained. */
  readonly speed: number | null;
  /** Texts in time. */
  readonly met: number;
  readonly times: Readonly<Record<string, string>>;
}

function timesOf({ progress, texts }: CoServed): Told["times"] {
  return {
    wait_ms: percentiles(texts.map(({ waitMs }) => waitMs)),
    first_token_ms: percentiles(texts.map(({ firstTokenMs }) => firstTokenMs)),
    token_ms: percentiles(texts.map(({ tokenMs }) => tokenMs)),
    block_ms: percentiles(progress?.blockMs ?? []),
  };
}

/** `largest`: highest rate of texts at which all goals were met; null: none. */
function tableOf(told: readonly Told[], baselines: readonly string[], largest: number | null): Table {
  const found = baselines.flatMap((name) => told.find((row) => row.name === name) ?? []);
  const against = (row: Told): string[] =>
    found.map((base) => (baselines.includes(row.name) || base.rate !== row.rate ? "" : showTimes(row, base)));
  const columns = ["ms (p50, p95, most) of a wait", "a first token", "a token", "a block of the training"];
  const rest = ["", "", ...baselines.map(() => ""), ...columns.map(() => "")];
  const compared = baselines.map((name) => `against ${name}`);
  return {
    head: ["", "texts a second", "training speed", "in time", ...compared, ...columns],
    rows: [
      ...told.map((row) => {
        const { name, rate, speed, met, texts, times } = row;
        const shown = [`${rate}`, speed === null ? "" : `${rounded(speed, 2)}×`];
        return [name, ...shown, `${met} of ${texts.length}`, ...against(row), ...Object.values(times)];
      }),
      [
        `most texts with ${KEPT}× and all in time`,
        largest === null ? "none of these" : `${largest}`,
        ...rest,
      ],
    ],
  };
}

/** Speed of a training relative to its speed alone, over the same steps with the same rows; 0: it has no timed steps. */
export function speedAgainst({ stepMs }: Progress, alone: readonly Progress[]): number {
  const count = Math.min(stepMs.length, ...alone.map((one) => one.stepMs.length));
  if (count === 0) return 0;
  const at = (ms: readonly number[]): number => ms[count - 1] ?? Number.NaN;
  return alone.reduce((sum, one) => sum + at(one.stepMs), 0) / alone.length / at(stepMs);
}

/** Ratio of the shares of texts in time; if the base has none, as if it had one. */
function showTimes({ met, texts }: Told, base: Told): string {
  const times = met / texts.length / (Math.max(1, base.met) / base.texts.length);
  return `${base.met === 0 ? "≥ " : ""}${times.toFixed(1)}×`;
}
