/** @file Writes values: as `{{ }}` does, inside other values, and as JSON. */
import { Namespace, Tuple, Undefined, type JinjaValue, kindOf } from "./values.ts";

/** Counts the values that are written, and the characters. @throws Error for too many */
type Count = (values: number) => void;

/** Writes a value as text: `str()`. */
export function writeText(value: JinjaValue, count: Count): string {
  if (typeof value === "string") return value;
  return value instanceof Undefined ? "" : writeWithin(value, count);
}

/** Writes a value as it appears inside another one: `repr()`. */
export function writeWithin(value: JinjaValue, count: Count): string {
  count(1);
  if (value === null) return "None";
  if (value instanceof Undefined) return "Undefined";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return writeFloat(value);
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) {
    const parts = value.map((each) => writeWithin(each, count)).join(", ");
    if (!(value instanceof Tuple)) return `[${parts}]`;
    return value.length === 1 ? `(${parts},)` : `(${parts})`;
  }
  if (value instanceof Map) {
    const entries = [...value].map(
      ([key, each]) => `${writeWithin(key, count)}: ${writeWithin(each, count)}`,
    );
    return `{${entries.join(", ")}}`;
  }
  throw new Error(`a ${value instanceof Namespace ? "namespace" : "function"} cannot be written`);
}

/** Writes the shortest digits that parse to the same number, in Python's form: 2.0, 1e-07, 1e+16. */
function writeFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [mantissa = "", power = "0"] = value.toExponential().split("e");
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  const text = String(value);
  return text.includes(".") ? text : `${text}.0`;
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\\": "\\\\",
};
/** Characters that Python's `repr` escapes. */
const HIDDEN = /[\p{C}\p{Z}\\]/gu;

function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(HIDDEN, (character) => {
    if (character === " ") return character;
    const code = character.codePointAt(0)!;
    const hex = (length: number): string => code.toString(16).padStart(length, "0");
    return (
      SHORT_ESCAPES[character] ??
      (code < 0x100 ? `\\x${hex(2)}` : code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`)
    );
  });
  return mark + (mark === "'" ? escaped.replaceAll("'", "\\'") : escaped) + mark;
}

/** The options of `tojson`. */
interface JsonForm {
  readonly ensureAscii: boolean;
  /** Indentation of each level; null: all is on one line. */
  readonly indent: string | null;
  readonly separators: readonly [item: string, key: string];
  readonly sortKeys: boolean;
}

/** JSON on one line, with spaces after the separators. */
export const PLAIN_JSON: JsonForm = {
  ensureAscii: false,
  indent: null,
  separators: [", ", ": "],
  sortKeys: false,
};

/** Writes a value as Python's `json.dumps` does. @throws Error for values that JSON cannot represent */
export function writeJson(value: JinjaValue, form: JsonForm, count: Count, padding = "\n"): string {
  count(1);
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return writeJsonFloat(value);
  if (typeof value === "string") return writeJsonText(value, form);
  const inner = form.indent === null ? "" : padding + form.indent;
  const around = (open: string, parts: readonly string[], close: string): string => {
    if (parts.length === 0) return open + close;
    const end = form.indent === null ? "" : padding;
    return open + inner + parts.join(form.separators[0] + inner) + end + close;
  };
  if (Array.isArray(value)) {
    return around(
      "[",
      value.map((each) => writeJson(each, form, count, inner)),
      "]",
    );
  }
  if (!(value instanceof Map)) throw new Error(`${kindOf(value)} cannot be written as JSON`);
  const entries = [...value].map(([key, each]) => [keyText(key), each] as const);
  if (form.sortKeys) entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const parts = entries.map(
    ([key, each]) => writeJsonText(key, form) + form.separators[1] + writeJson(each, form, count, inner),
  );
  return around("{", parts, "}");
}

function keyText(key: JinjaValue): string {
  if (typeof key === "string") return key;
  if (typeof key === "number") return writeJsonFloat(key);
  if (key === null || typeof key === "boolean" || typeof key === "bigint") return String(key);
  throw new Error(`${kindOf(key)} cannot be a JSON key`);
}

function writeJsonFloat(value: number): string {
  return Number.isFinite(value) ? writeFloat(value) : String(value);
}

function writeJsonText(text: string, { ensureAscii }: JsonForm): string {
  const json = JSON.stringify(text);
  if (!ensureAscii) return json;
  return json.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
