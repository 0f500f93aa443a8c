/** @file The effective settings of a run as text, for people and for new runs. */
import { stringify } from "yaml";
import type { TrainOptions } from "../settings/options.ts";
import { areRows, describeRows } from "./data/data-names.ts";
import type { SettledOptions } from "./setup/prepare.ts";

/** Replaces rows in memory by a description with their hash: a run can only be resumed with the same rows. */
export function withoutRows(options: SettledOptions): SettledOptions {
  const told = (["data", "evalData"] as const).flatMap((key) => {
    const rows = options[key];
    return areRows(rows) ? [[key, describeRows(rows)]] : [];
  });
  return { ...options, ...(Object.fromEntries(told) as Pick<TrainOptions, "data">) };
}

/** The effective settings as a file with which a new run can be started; options of method, optimizer and objective only if given. */
export function configText(options: SettledOptions): string {
  const { resume: _resume, overwrite: _overwrite, ...settings } = withoutRows(options);
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return stringify(Object.fromEntries(given));
}
