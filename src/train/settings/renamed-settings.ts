/** @file Settings that were renamed: older runs can be resumed, and users who give the old name are told the new one. */

/** The present form of a renamed setting. */
export interface RenamedSetting {
  readonly key: string;
  /** Converts an old value to the present one. */
  read(value: unknown): unknown;
}

/** Old name → present form. */
export const RENAMED_SETTINGS: ReadonlyMap<string, RenamedSetting> = new Map([
  ["accumulation", { key: "gradientAccumulationSteps", read: (value) => value }],
  ["keepWidened", { key: "weights", read: (isHeld) => (isHeld === true ? "float32" : "stored") }],
]);
