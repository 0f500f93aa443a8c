/** @file How close is the memory that `graft plan` predicts to the peak of the run? */
import { join } from "node:path";

import { defineBenchmark } from "./bench.ts";
import { flagWords, wordsOf } from "./harness/command-line.ts";
import { GRID, type GridRun, makeGridData, makeGridModel } from "./training/memory-grid.ts";
import { median } from "./harness/statistics.ts";
import { eventsOf, runGraft } from "./training/training-sides.ts";

/** A run with both numbers, in millions of bytes. */
interface Compared {
  readonly run: GridRun;
  readonly predictedMb: number;
  readonly measuredMb: number;
}

const MIB = 2 ** 20;

function nameOf({ model, data, flags, hasSamples }: GridRun): string {
  return `${model} ${data} ${flags}${hasSamples ? " --samples" : ""}`;
}

/** Error of a prediction, relative to the measured peak. */
function errorOf({ predictedMb, measuredMb }: Compared): number {
  return predictedMb / measuredMb - 1;
}

async function compare(run: GridRun, flags: readonly string[]): Promise<Compared> {
  const plan = await runGraft(["plan", ...flags]);
  const bytes = eventsOf(plan, "plan")[0]?.value["bytes"] as { readonly peak: number } | undefined;
  const { peakMb } = await runGraft(["train", ...flags, "--overwrite"]);
  if (bytes === undefined || peakMb === null) {
    throw new Error(
      `Cannot compare "${nameOf(run)}": no plan or no peak, expected both (peaks are read from /proc)`,
    );
  }
  return { run, predictedMb: bytes.peak / 1e6, measuredMb: (peakMb * MIB) / 1e6 };
}

export const benchmark = defineBenchmark({
  question: "How near is the memory that graft plan predicts to the peak of the run?",
  ignoresLoad: true,
  flags: {
    folder: { value: "", help: "keeps models and data (2 GB) here; a temporary folder when not given" },
    only: { value: "", help: "runs whose names hold this text" },
    steps: { value: 1, help: "steps of a run at least" },
    threads: { value: 2, help: "CPU threads" },
  },
  async run(values, { say, scratch }) {
    const folder = values.folder || scratch;
    const data = await makeGridData(folder);
    const compared: Compared[] = [];
    for (const run of GRID.filter((each) => nameOf(each).includes(values.only))) {
      const flags = {
        model: await makeGridModel(folder, run.model),
        data: data[run.data],
        output: join(scratch, "run"),
        steps: Math.max(values.steps, run.steps ?? 1),
        threads: values.threads,
        ...(run.hasSamples && { samples: data.prompts }),
      };
      const one = await compare(run, [...flagWords(flags), ...wordsOf(run.flags)]);
      say(`${(100 * errorOf(one)).toFixed(1)} %  ${nameOf(run)}`);
      compared.push(one);
    }
    const errors = compared.map((one) => Math.abs(errorOf(one)));
    const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
    return {
      table: {
        head: ["run", "predicted", "measured", "error"],
        rows: [
          ...compared.map((one) => [
            nameOf(one.run),
            `${Math.round(one.predictedMb)} MB`,
            `${Math.round(one.measuredMb)} MB`,
            percent(errorOf(one)),
          ]),
          [`median of ${errors.length}`, "", "", percent(median(errors))],
          ["worst", "", "", percent(Math.max(...errors))],
        ],
      },
      results: {
        median_error: median(errors),
        worst_error: Math.max(...errors),
        runs: compared.map((one) => ({
          run: nameOf(one.run),
          predicted_mb: Math.round(one.predictedMb),
          measured_mb: Math.round(one.measuredMb),
          error: Number(errorOf(one).toFixed(4)),
        })),
      },
    };
  },
});
