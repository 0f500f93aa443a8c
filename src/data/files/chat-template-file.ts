/** @file A chat template that takes the place of a model's own: one with a name, or a file. */
import { readFileSync, statSync } from "node:fs";
import { UsageError } from "../../errors.ts";
import type { Checkpoint } from "../../format/checkpoint/checkpoint.ts";
import { describeFileProblem, refuseEndless } from "../../messages/system-error.ts";
import { NAMED_TEMPLATES, TEMPLATE_NAMES, nearestTemplate } from "../chat/named-templates.ts";

/** Reads a chat template. @throws UsageError "usage/chat-template" when it is neither a name nor a file */
function readChatTemplate(nameOrPath: string): string {
  const named = NAMED_TEMPLATES.get(nameOrPath);
  if (named !== undefined) return named;
  try {
    refuseEndless(statSync(nameOrPath));
    return readFileSync(nameOrPath, "utf8");
  } catch (cause) {
    const alike = nearestTemplate(nameOrPath);
    throw new UsageError(
      "usage/chat-template",
      `Cannot read chat template "${nameOrPath}": ${describeFileProblem(cause)}, expected ${TEMPLATE_NAMES} or a Jinja file`,
      { hint: alike === null ? "Check the path." : `The nearest name is ${alike}.`, cause },
    );
  }
}

/** A model's files with another chat template; without one they stay as they are. @throws as for reading it */
export function withChatTemplate<C extends Pick<Checkpoint, "tokenizerFiles">>(
  checkpoint: C,
  nameOrPath: string | undefined,
): C {
  const { tokenizerFiles } = checkpoint;
  if (nameOrPath === undefined) return checkpoint;
  const chatTemplate = readChatTemplate(nameOrPath);
  if (tokenizerFiles === null) return checkpoint;
  // Its own, named ones among them, are no more.
  const { chat_template: _, ...config } = tokenizerFiles.config;
  const { tokens } = tokenizerFiles;
  return {
    ...checkpoint,
    tokenizerFiles: {
      // Asked for each time: what is parsed stays in memory while somebody holds it.
      get tokenizer() {
        return tokenizerFiles.tokenizer;
      },
      ...(tokens && { tokens }),
      config,
      chatTemplate,
    },
  };
}
