/** @file The functions that a request lets a model call, whether it must, and what holds the answer to that. */
import { z } from "zod";
import type { RuleBook } from "../engine/grammar/automaton.ts";
import { either } from "../engine/grammar/json-rules.ts";
import { schemaRule } from "../engine/grammar/schema-rules.ts";
import type { Grammar } from "../engine/grammar/token-grammar.ts";
import { TriggeredGrammar } from "../engine/grammar/triggered-grammar.ts";
import {
  type ToolChoice,
  type ToolFormat,
  type ToolFunction,
  addParameters,
  markBytes,
} from "../engine/tool-calls/tool-format.ts";
import { FormatError, UsageError } from "../errors.ts";
import { nearest } from "../messages/nearest.ts";
import { ApiError } from "./api-error.ts";
import {
  type ResponseFormat,
  SCHEMA_PARAM,
  grammarOf,
  refuseSchema,
  schemaOf,
  withSchemaPath,
} from "./response-format.ts";
import type { ServerState } from "./server-state.ts";

const MAX_TOOLS = 128;

export const TOOLS = z
  .array(
    z.looseObject({
      type: z.literal("function"),
      function: z.looseObject({
        name: z.string().regex(/^[\w.-]{1,64}$/, "letters, digits, - _ and ."),
        parameters: z.looseObject({}).nullish(),
      }),
    }),
  )
  .max(MAX_TOOLS);

export const TOOL_CHOICE = z.union([
  z.enum(["none", "auto", "required"]),
  z.strictObject({ type: z.literal("function"), function: z.strictObject({ name: z.string() }) }),
]);

/** What of a request says so. */
export interface ToolRequest {
  readonly tools?: z.output<typeof TOOLS> | null | undefined;
  readonly tool_choice?: z.output<typeof TOOL_CHOICE> | null | undefined;
  readonly parallel_tool_calls?: boolean | null | undefined;
  readonly response_format?: ResponseFormat | null | undefined;
}

export interface ToolUse {
  /** What the chat template is told of; null: of none. */
  readonly tools: readonly unknown[] | null;
  /** How calls are read; null: there are none to read. */
  readonly format: ToolFormat | null;
  /** Those that may be called. */
  readonly functions: readonly ToolFunction[];
  /** Whether the answer is calls, and no text. */
  readonly isForced: boolean;
  /** What holds the answer to calls, or to the form that is asked for. */
  readonly grammar: Grammar | null;
}

/** Reads what a request says of calls and of the form of its answer. @throws ApiError 400 */
export async function readToolUse(request: ToolRequest, state: ServerState): Promise<ToolUse> {
  const { tool_choice: choice, response_format: form } = request;
  const tools = request.tools ?? [];
  const functions = tools.map((tool): ToolFunction => tool.function);
  requireTools(
    choice,
    functions.map(({ name }) => name),
  );
  if (tools.length === 0 || choice === "none") {
    return { tools: null, format: null, functions, isForced: false, grammar: await grammarOf(form, state) };
  }
  const format = state.model.toolFormat;
  const isForced = typeof choice === "object" ? choice !== null : choice === "required";
  const isHeld = isForced || schemaOf(form) !== null;
  const grammar = isHeld
    ? await callGrammar(request, isForced, format, state)
    : await begunGrammar(request, format, state);
  return { tools, format, functions, isForced, grammar };
}

function requireTools(choice: ToolRequest["tool_choice"], names: readonly string[]): void {
  const refuse = (message: string): never => {
    throw new ApiError(400, message, { code: "invalid_value", param: "tool_choice" });
  };
  if (choice === "required" && names.length === 0) refuse("tool_choice is required, but there are no tools");
  if (typeof choice !== "object" || choice === null) return;
  const { name } = choice.function;
  if (names.includes(name)) return;
  const alike = nearest(name, names);
  refuse(
    `tool_choice names "${name}", which is none of the tools${alike === null ? "" : `: did you mean "${alike}"?`}`,
  );
}

/** Answers that are calls whose arguments satisfy their schemas; unless they must be, also those of the form. */
async function callGrammar(
  request: ToolRequest,
  isForced: boolean,
  format: ToolFormat,
  { model }: ServerState,
): Promise<Grammar> {
  const { tools, tool_choice: choice, parallel_tool_calls: parallel, response_format: form } = request;
  const only = typeof choice === "object" && choice !== null ? choice.function.name : null;
  const isParallel = parallel !== false && only === null;
  const choices = (tools ?? []).flatMap(({ function: { name, parameters } }, i): ToolChoice[] => {
    if (only !== null && name !== only) return [];
    const param = `tools[${i}].function.parameters`;
    const addArguments = (book: RuleBook): number =>
      withSchemaPath(param, () => addParameters(book, name, parameters));
    return [{ name, parameters, addArguments }];
  });
  const schema = isForced ? null : schemaOf(form);
  const rules = { isParallel, specialTokens: model.parts.tokenizer.specialTokens };
  const build = (book: RuleBook): number =>
    book.rule("answer", (start) =>
      either(book, start, [
        (from) => format.addCalls(book, from, choices, rules),
        ...(schema
          ? [
              (from: number) =>
                book.call(
                  from,
                  withSchemaPath(SCHEMA_PARAM, () => schemaRule(book, schema)),
                ),
            ]
          : []),
      ]),
    );
  const key = JSON.stringify(["calls", tools, only, isParallel, schema]);
  return await model.grammars.of(key, build).catch((error: unknown) => refuseSchema("tools", error));
}

/** Answers that are free until the model begins a call, which is then one of a function that there is, by its schema. */
async function begunGrammar(
  { tools, parallel_tool_calls: parallel }: ToolRequest,
  format: ToolFormat,
  { model }: ServerState,
): Promise<Grammar | null> {
  const { specialTokens } = model.parts.tokenizer;
  const choices = (tools ?? []).map(({ function: { name, parameters } }): ToolChoice => {
    return { name, parameters, addArguments: (book) => addParameters(book, name, parameters) };
  });
  // A list of calls ends at its mark; other calls end one by one.
  const rules = { isParallel: parallel !== false && format.hasEnd, specialTokens };
  const build = (book: RuleBook): number =>
    book.rule("begun calls", (start) => format.addCalls(book, start, choices, rules));
  const key = JSON.stringify(["begun calls", tools, rules.isParallel]);
  const begins = format
    .begins(choices.map(({ name }) => name))
    .map((mark) => String.fromCharCode(...markBytes(mark, specialTokens)));
  try {
    const inner = await model.grammars.of(key, build);
    return new TriggeredGrammar(inner, { begins, isWhole: format.isWhole, mayGoOn: parallel !== false });
  } catch (error) {
    // Nobody asked for more than that the model be told of the functions.
    if (error instanceof UsageError || error instanceof FormatError) return null;
    throw error;
  }
}
