/** @file Settings that once had another name: runs made then go on, and whoever gives the old name is told the new one. */

/** What became of a setting. */
export interface RenamedSetting {
  readonly key: string;
  /** The value of today that says what a value of then said. */
  read(value: unknown): unknown;
}

/** Old name → what it is today. */
export const RENAMED_SETTINGS: ReadonlyMap<string, RenamedSetting> = new Map([
  ["accumulation", { key: "gradientAccumulationSteps", read: (value) => value }],
  ["keepWidened", { key: "weights", read: (isHeld) => (isHeld === true ? "float32" : "stored") }],
]);
