/**
 * @file Parses templates with the library's parser. It does not accept arguments of tests, `value is divisibleby(3)` and `value
 * is eq 3`: these are cut out of the tokens, parsed separately, and attached to their test afterwards.
 */
import { parse, tokenize } from "@huggingface/jinja";
import type { Block, Expression } from "./syntax.ts";

interface Token {
  readonly type: string;
  readonly value: string;
}

/** Separates the name of a test from the number of its arguments; no name contains it. */
const MARK = "\0";
const CLOSING: Readonly<Record<string, string>> = {
  OpenParen: "CloseParen",
  OpenSquareBracket: "CloseSquareBracket",
  OpenCurlyBracket: "CloseCurlyBracket",
};
const VALUES = ["Identifier", "StringLiteral", "NumericLiteral"];
/** Words after a test's name that do not begin an argument, but continue the expression around the test. */
const WORDS = ["and", "or", "not", "if", "else", "in", "is", "recursive"];
/** Maximum nesting of tests in arguments of tests; each level is parsed once more. */
const MAX_DEPTH = 8;

/** Parses a template. @throws Error that says where parsing failed */
export function parseSyntax(source: string): Block {
  // Jinja converts all line ends to "\n".
  const tokens = tokenize(source.replace(/\r\n?/g, "\n"), { lstrip_blocks: true, trim_blocks: true });
  const cut: (readonly Expression[])[] = [];
  const body = parseRest(tokens, cut, 0);
  if (cut.length > 0) giveBack(body, cut);
  return body;
}

function parseRest(tokens: readonly Token[], cut: (readonly Expression[])[], depth: number): Block {
  if (depth > MAX_DEPTH) throw new Error(`tests within more than ${MAX_DEPTH} tests`);
  const rest: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    rest.push(tokens[at]!);
    if (!isWord(tokens[at], "is") || tokens[at - 1]?.type === "Dot") continue;
    if (isWord(tokens[at + 1], "not")) rest.push(tokens[++at]!);
    const [name, end] = [tokens[at + 1], endOfArgument(tokens, at + 2)];
    if (name?.type !== "Identifier" || end === at + 2) continue;
    const given = tokens.slice(at + 2, end);
    const args = given[0]!.type === "OpenParen" ? given : [sign("OpenParen"), ...given, sign("CloseParen")];
    const call = [sign("OpenExpression"), name, ...args, sign("CloseExpression")];
    const [parsed] = parseRest(call, cut, depth + 1);
    if (parsed?.type !== "CallExpression") throw new Error(`the arguments of the test "${name.value}" go on`);
    cut.push(parsed.args);
    rest.push({ type: "Identifier", value: `${name.value}${MARK}${cut.length - 1}` });
    at = end - 1;
  }
  return (parse(rest as Parameters<typeof parse>[0]) as unknown as { readonly body: Block }).body;
}

function sign(type: string): Token {
  return { type, value: "" };
}

function isWord(token: Token | undefined, word: string): boolean {
  return token?.type === "Identifier" && token.value === word;
}

/** The end of the value that begins at a token, with its members and calls; the start itself if no value begins there. */
function endOfArgument(tokens: readonly Token[], start: number): number {
  const first = tokens[start];
  if (first === undefined || WORDS.some((word) => isWord(first, word))) return start;
  if (!(first.type in CLOSING) && !VALUES.includes(first.type)) return start;
  let end = first.type in CLOSING ? endOfGroup(tokens, start) : start + 1;
  for (;;) {
    const next = tokens[end]?.type ?? "";
    if (next === "Dot") end += 2;
    else if (next === "OpenParen" || next === "OpenSquareBracket") end = endOfGroup(tokens, end);
    else return Math.min(end, tokens.length);
  }
}

function endOfGroup(tokens: readonly Token[], start: number): number {
  const { type } = tokens[start]!;
  for (let [at, depth] = [start, 0]; at < tokens.length; at++) {
    if (tokens[at]!.type === type) depth++;
    if (tokens[at]!.type === CLOSING[type] && --depth === 0) return at + 1;
  }
  return tokens.length;
}

/** Attaches the arguments to the tests in a tree. */
function giveBack(tree: unknown, cut: readonly (readonly Expression[])[]): void {
  const left: unknown[] = [tree];
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    if (typeof node !== "object" || node === null) continue;
    if (node instanceof Map) left.push(...node.keys(), ...node.values());
    else left.push(...(Object.values(node) as unknown[]));
    const { type, test } = node as { readonly type?: unknown; readonly test?: { value?: unknown } };
    if (type !== "TestExpression" || typeof test?.value !== "string") continue;
    const [name, place] = test.value.split(MARK);
    if (place === undefined) continue;
    test.value = name;
    const args = cut[Number(place)]!;
    Object.assign(node, { args });
    left.push(args);
  }
}
