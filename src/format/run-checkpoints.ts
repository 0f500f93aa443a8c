/** @file Names of the checkpoints in the folder of a run: checkpoint-STEP. */

const NAME = /^checkpoint-(\d{1,15})$/;

/** Names the folder of a checkpoint after its step. */
export function checkpointFolder(step: number): string {
  return `checkpoint-${step}`;
}

/** Whether a folder of this name is a checkpoint. */
export function isCheckpointFolder(name: string): boolean {
  return NAME.test(name);
}

/** Finds the steps of the checkpoints among some names, in rising order. */
export function checkpointSteps(names: readonly string[]): number[] {
  return names
    .flatMap((name) => NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}
