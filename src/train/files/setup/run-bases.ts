/** @file A run on its base as it is and rounded to fewer bits. Each is laid out once, since plans compare many settings on few bases. */
import { withQuantizedBase } from "../../../format/checkpoint/quantized-base.ts";
import type { PlannedSettings } from "../../plan/alternatives.ts";
import type { TrainOptions } from "../../settings/options.ts";
import { type RunLayout, layOutRun } from "./lay-out-run.ts";
import { type OpenedRun, type PreparedRun, settleRun } from "./prepare.ts";

/** A base, and what a run attaches to it. */
interface LaidOutBase extends Pick<OpenedRun, "checkpoint"> {
  readonly layout: RunLayout;
}

export class RunBases {
  readonly opened: OpenedRun;
  readonly #laidOut = new Map<TrainOptions["base"], LaidOutBase>();

  constructor(opened: OpenedRun) {
    this.opened = opened;
  }

  /** Settles the run with other settings, which may round its base. @throws errors of settings */
  settle(settings: PlannedSettings): PreparedRun {
    const options = { ...this.opened.options, ...settings };
    const { checkpoint, layout } = this.#on(options.base);
    return settleRun({ ...this.opened, checkpoint, options }, layout);
  }

  #on(base: TrainOptions["base"]): LaidOutBase {
    const { options, checkpoint: asOpened, model, methods } = this.opened;
    let made = this.#laidOut.get(base);
    if (!made) {
      const checkpoint = withQuantizedBase(asOpened, base === options.base ? undefined : base);
      made = { checkpoint, layout: layOutRun(options, checkpoint, model, methods) };
      this.#laidOut.set(base, made);
    }
    return made;
  }
}
