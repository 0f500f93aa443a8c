/** @file A chat template that replaces a model's own, given by name or as a file. */
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

/** Copies a model with another chat template; returns it unchanged if none is given. @throws as for reading it */
export function withChatTemplate<C extends Pick<Checkpoint, "tokenizerFiles">>(
  checkpoint: C,
  nameOrPath: string | undefined,
): C {
  const { tokenizerFiles } = checkpoint;
  if (nameOrPath === undefined) return checkpoint;
  const chatTemplate = readChatTemplate(nameOrPath);
  if (tokenizerFiles === null) return checkpoint;
  // Drops the model's own templates, named ones included.
  const { chat_template: _, ...config } = tokenizerFiles.config;
  const { tokens } = tokenizerFiles;
  return {
    ...checkpoint,
    tokenizerFiles: {
      // A getter, so that this copy does not keep the parsed file in memory.
      get tokenizer() {
        return tokenizerFiles.tokenizer;
      },
      ...(tokens && { tokens }),
      config,
      chatTemplate,
    },
  };
}
