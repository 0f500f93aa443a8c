/** @file The functions that a request lets a model call, whether the model must call one, and the grammar that enforces this. */
import { withPlainFloats } from "../../data/formats/long-integer.ts";
import type { Place, RuleBook } from "../../engine/grammar/rules/automaton.ts";
import { either } from "../../engine/grammar/rules/json-rules.ts";
import { schemaRule } from "../../engine/grammar/schema/schema-rules.ts";
import type { Grammar } from "../../engine/grammar/token-grammar.ts";
import { TriggeredGrammar } from "../../engine/grammar/triggered-grammar.ts";
import {
  type ToolChoice,
  type ToolFormat,
  type ToolFunction,
  addMark,
  markText,
  toolChoice,
} from "../../engine/tool-calls/tool-format.ts";
import { FormatError, UsageError } from "../../errors.ts";
import { orNearest } from "../../messages/nearest.ts";
import { invalidValue } from "../api-error.ts";
import { SCHEMA_PARAM, refuseSchema, schemaOf, withSchemaPath } from "./response-format.ts";
import type { ServerState } from "../server-state.ts";
import type { ToolRequest } from "./tool-fields.ts";

export interface ToolUse {
  /** The functions that the chat template gets; null: none. */
  readonly tools: readonly unknown[] | null;
  /** The form of calls; null: there are none to read. */
  readonly format: ToolFormat | null;
  /** The functions that may be called. */
  readonly functions: readonly ToolFunction[];
  /** Whether the answer must consist of calls, without text. */
  readonly isForced: boolean;
  /** Grammar of the answer from its first token on, for calls or a requested form; null: none. */
  readonly grammar: Grammar | null;
  /** Grammar of calls that the model begins by itself; null: none. */
  readonly begun: TriggeredGrammar | null;
}

/** A function that may be called; `param`: the key of the request with its parameters. */
interface OfferedFunction extends ToolFunction {
  readonly param: string;
}

/** Which functions an answer may call. */
interface Choice {
  readonly functions: readonly OfferedFunction[];
  readonly isForced: boolean;
  readonly isParallel: boolean;
}

/** Reads the settings of a request about calls and the form of its answer. @throws ApiError 400 */
export async function readToolUse(request: ToolRequest, state: ServerState): Promise<ToolUse> {
  const { response_format: form, tools } = request;
  const choice = choiceOf(request);
  const { functions, isForced } = choice;
  const format = state.model.toolFormat;
  const schema = isForced ? null : schemaOf(form);
  const isHeld = isForced || schema !== null;
  const grammar = isHeld ? await heldGrammar(choice, schema, format, state) : null;
  if (functions.length === 0) return { tools: null, format: null, functions, isForced, grammar, begun: null };
  const begun = isHeld ? null : await begunGrammar(choice, format, state);
  return { tools: tools ?? null, format, functions, isForced, grammar, begun };
}

/** @throws ApiError 400 for functions that are not offered */
function choiceOf({ tools, tool_choice: given, parallel_tool_calls: parallel }: ToolRequest): Choice {
  const offered = (tools ?? []).map((tool, i): OfferedFunction => {
    const { parameters, ...called } = tool.function;
    // Grammars support only plain numbers.
    const plain = withPlainFloats(parameters) as typeof parameters;
    return { ...called, parameters: plain, param: `tools[${i}].function.parameters` };
  });
  const isParallel = parallel !== false;
  if (typeof given !== "object" || given === null) {
    const isForced = given === "required";
    if (isForced && offered.length === 0) refuse("tool_choice is required, but there are no tools");
    return { functions: given === "none" ? [] : offered, isForced, isParallel };
  }
  const isOne = given.type === "function";
  const { mode, tools: named } = isOne ? { mode: "required", tools: [given] } : given.allowed_tools;
  const names = new Set(named.map((tool) => tool.function.name));
  for (const name of names) requireTool(name, offered);
  const functions = offered.filter(({ name }) => names.has(name));
  return { functions, isForced: mode === "required", isParallel: isParallel && !isOne };
}

function refuse(message: string): never {
  throw invalidValue(message, "tool_choice");
}

function requireTool(name: string, offered: readonly ToolFunction[]): void {
  const names = offered.map((each) => each.name);
  if (names.includes(name)) return;
  refuse(`tool_choice names "${name}", which is not one of the tools${orNearest(name, names)}`);
}

/** Makes the grammar of answers that are calls with valid arguments, or that have the requested form. */
async function heldGrammar(
  { functions, isParallel }: Choice,
  schema: object | null,
  format: ToolFormat,
  { model }: ServerState,
): Promise<Grammar> {
  const choices = functions.map((tool): ToolChoice => {
    const { name, addArguments } = toolChoice(tool);
    const subject = `Function "${name}": `;
    return {
      name,
      addArguments: (...form) => withSchemaPath(tool.param, () => addArguments(...form), subject),
    };
  });
  const rules = { isParallel, specialTokens: model.parts.tokenizer.specialTokens };
  const addForm = (book: RuleBook, from: Place): Place => {
    const rule = withSchemaPath(SCHEMA_PARAM, () => schemaRule(book, schema));
    return book.call(addMark(book, from, model.answerHead, rules), rule);
  };
  const build = (book: RuleBook): Place =>
    book.rule("answer", (start) =>
      either(book, start, [
        ...(functions.length > 0 ? [(from: Place) => format.addCalls(book, from, choices, rules)] : []),
        ...(schema ? [(from: Place) => addForm(book, from)] : []),
      ]),
    );
  const key = ["held", functions, isParallel, schema];
  const param = functions.length > 0 ? "tools" : SCHEMA_PARAM;
  return await model.grammars.of(key, build).catch((error: unknown) => refuseSchema(param, error));
}

/**
 * Makes the grammar of answers that are free until the model begins a call, which must then be valid; null: the schemas are not
 * supported.
 */
async function begunGrammar(
  { functions, isParallel }: Choice,
  format: ToolFormat,
  { model }: ServerState,
): Promise<TriggeredGrammar | null> {
  const { specialTokens } = model.parts.tokenizer;
  const choices = functions.map(toolChoice);
  // A list of calls ends at its mark; other calls end one by one.
  const rules = { isParallel: isParallel && format.hasEnd, specialTokens };
  const build = (book: RuleBook): number =>
    book.rule("begun calls", (start) => format.addCalls(book, start, choices, rules));
  const key = ["begun calls", functions, rules.isParallel];
  const begins = format.begins(choices.map(({ name }) => name)).map((mark) => markText(mark, specialTokens));
  try {
    const inner = await model.grammars.of(key, build);
    const mayGoOn = isParallel && !format.endsAnswer;
    return new TriggeredGrammar(inner, { begins, isWhole: format.isWhole, mayGoOn });
  } catch (error) {
    // The request only asked to show the functions to the model, so it is not refused.
    if (error instanceof UsageError || error instanceof FormatError) return null;
    throw error;
  }
}
