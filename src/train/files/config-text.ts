/** @file The settings of a run as they took effect, for people and for a new run. */
import { stringify } from "yaml";
import type { TrainOptions } from "../settings/options.ts";
import { areRows, describeRows } from "./data/data-names.ts";
import type { SettledOptions } from "./setup/prepare.ts";

/** Rows in memory are told by what they are: a run goes on with the same ones alone. */
export function withoutRows(options: SettledOptions): SettledOptions {
  const told = (["data", "evalData"] as const).flatMap((key) => {
    const rows = options[key];
    return areRows(rows) ? [[key, describeRows(rows)]] : [];
  });
  return { ...options, ...(Object.fromEntries(told) as Pick<TrainOptions, "data">) };
}

/** The settings as they took effect, as a file that a new run can be started with; of options of method, optimizer and objective, those that were given. */
export function configText(options: SettledOptions): string {
  const { resume: _resume, overwrite: _overwrite, ...settings } = withoutRows(options);
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return stringify(Object.fromEntries(given));
}
