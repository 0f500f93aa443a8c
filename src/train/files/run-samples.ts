/** @file Makes the samples of a run from its settings: the prompts, and the writer that continues them. */
import { openTextTools } from "../../data/chat/text-tools.ts";
import { UsageError } from "../../errors.ts";
import type { Session } from "../../run/session.ts";
import type { FineTuneHooks } from "../loop/fine-tune-request.ts";
import type { MakeSampleWriter, SampleParts } from "../samples.ts";
import { readSamplePrompts } from "./data/sample-prompts.ts";
import type { TrainingSetup } from "./setup/setup.ts";

/** Opens the samples of a run; null: it has none. @throws UsageError, FormatError before anything is written */
export async function openSamples(
  { options, adapter, origin, plan }: TrainingSetup,
  session: Session,
  make: MakeSampleWriter | undefined,
  { signal, betweenTokens }: Pick<SampleParts, "signal" | "betweenTokens">,
): Promise<NonNullable<FineTuneHooks["samples"]> | null> {
  if (options.samples === undefined) return null;
  if (make === undefined) {
    throw new UsageError(
      "usage/flag",
      "Cannot write samples: there is no sample writer, expected makeSampleWriter",
      { hint: "Pass makeSampleWriter in, or leave the samples out." },
    );
  }
  const { checkpoint } = origin;
  const tools = openTextTools(options.model, checkpoint.tokenizerFiles);
  const prompts = await readSamplePrompts(options.samples, { hasTemplate: tools.template.hash !== null });
  const maxNewTokens = options.sampleTokens;
  return {
    everySteps: options.evalEvery ?? plan.stepsPerEpoch,
    write: await make({ session, adapter, checkpoint, tools, prompts, maxNewTokens, signal, betweenTokens }),
  };
}
