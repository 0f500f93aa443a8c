/** @file The events of a run at its start, when it is resumed, and at its end. */
import { countLabels, exampleLength, sequencesOf } from "../../data/examples/training-unit.ts";
import { numElements } from "../../graph/shape.ts";
import type { Adapter } from "../../peft/attach.ts";
import { makesModel } from "../../peft/method.ts";
import type { DoneEvent, ResumeEvent, StartEvent } from "../events.ts";
import { entriesOf, lossOf } from "../logs/log-format.ts";
import type { TrainingSetup } from "./setup/setup.ts";
import { describeNewLength } from "../settings/new-length.ts";
import { type RunState, withLength } from "../loop/run-state.ts";

/** The start event of a run. */
export function tellStart({ options, base, adapter, data, plan, totalSteps }: TrainingSetup): StartEvent {
  const parameters = [...base.model.tensors.values()].reduce((sum, { shape }) => sum + numElements(shape), 0);
  const sequences = data.train.flatMap((unit) => [...sequencesOf(unit)]);
  return {
    event: "start",
    model: base.name,
    task: base.model.task,
    chat_template: data.chatTemplateHash !== null,
    method: options.method,
    parameters,
    trainable_parameters: adapter.numTrained,
    trainable_share: adapter.numTrained / parameters,
    examples: data.train.length,
    tokens: sequences.reduce((sum, sequence) => sum + exampleLength(sequence), 0),
    trained_tokens: sequences.reduce((sum, sequence) => sum + countLabels(sequence), 0),
    truncated_examples: data.train.filter((unit) => "isCut" in unit).length,
    dropped_examples: data.numDropped,
    max_length: options.maxLength,
    held_out_examples: data.heldOut?.length ?? null,
    total_steps: totalSteps,
    steps_per_epoch: plan.stepsPerEpoch,
    learning_rate: options.learningRate,
  };
}

/** The event of a resumed run: where it continues, and what a new length means. */
export function tellResume(setup: TrainingSetup, checkpoint: string, saved: RunState): ResumeEvent {
  const { options, totalSteps } = setup;
  const { global_step: step, max_steps: before } = saved;
  const { evaluations_without_improvement: idle } = withLength(saved, totalSteps);
  const notes: string[] = [];
  if (options.earlyStopping !== undefined && idle >= options.earlyStopping) {
    const evaluations = idle === 1 ? "1 evaluation" : `${idle} evaluations`;
    notes.push(
      `The run stopped early, after ${evaluations} without a better ${options.evalMetric ?? "loss"}: nothing is left to do. Give a larger --early-stopping to continue.`,
    );
  } else if (step === totalSteps) {
    notes.push("The run is complete: nothing is left to do. Give more steps or epochs to extend it.");
  } else if (before !== totalSteps) {
    const measuresBranches = setup.dropBp !== null && setup.dropBp.sensitivity !== null;
    const length = { step, before, now: totalSteps, measuresBranches };
    notes.push(describeNewLength({ ...options, ...length }));
  }
  return { event: "resume", checkpoint, step, total_steps: totalSteps, notes };
}

/** The kind of result that a run writes. */
export function resultOf({ method }: Pick<Adapter, "method">): DoneEvent["result"] {
  return makesModel(method) ? "model" : "adapter";
}

/** The event of a run's end. */
export function tellDone(
  { options, adapter, data }: TrainingSetup,
  state: RunState,
  seconds: number,
): DoneEvent {
  const losses = (event: string): number[] => entriesOf(state.log_history, event).map(lossOf);
  const { global_step: steps, best_global_step: best } = state;
  const isBest =
    (options.evalMetric ?? options.earlyStopping) !== undefined && best !== null && data.heldOut !== null;
  return {
    event: "done",
    output: options.output,
    result: resultOf(adapter),
    steps,
    result_step: isBest ? best : steps,
    trainable_parameters: adapter.numTrained,
    trained_tokens: state.trained_tokens,
    first_loss: losses("step")[0] ?? null,
    last_loss: losses("step").at(-1) ?? null,
    held_out_loss_before: losses("eval")[0] ?? null,
    held_out_loss: (isBest ? lossAt(state, best) : losses("eval").at(-1)) ?? null,
    seconds,
    ...state.step_totals.power,
  };
}

/** Held-out loss after a step. */
function lossAt({ log_history: history }: RunState, step: number): number | undefined {
  const found = entriesOf(history, "eval").find((entry) => entry["step"] === step);
  return found && lossOf(found);
}
