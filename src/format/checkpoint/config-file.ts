/**
 * @file config.json as Python reads and writes it: numbers that are not valid JSON, and floats that are whole numbers. JavaScript
 * has one kind of number, but strict configurations of transformers refuse 7 where they expect 7.0.
 */
import { type Folder, missingFile, parseUniqueKeys, pathIn } from "../files/folder.ts";
import { type JsonObject, formatJson } from "../files/json-file.ts";

const CONFIG_FILE = "config.json";

/** Settings of a model, and which of them are floats. */
export interface ConfigFile {
  readonly settings: JsonObject;
  /** Names of settings whose numbers, or numbers in lists, are written as floats, at any depth. */
  readonly floats: ReadonlySet<string>;
}

/** Matches a string, even if unterminated, and a colon after it if it is a key; braces; numbers, also those that only Python writes. */
const TOKEN = /"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?$)(\s*:)?|[{}]|-?\d[\d.eE+-]*|(?:-?Infinity|NaN)\b/gs;

/** Writes numbers that are not valid JSON as transformers 5 does: `{"__float__": "Infinity"}`. */
function withoutBareNumbers(text: string): string {
  return text.replace(TOKEN, (token) => (/^-?[IN]/.test(token) ? `{"__float__":"${token}"}` : token));
}

function floatsIn(text: string): Set<string> {
  const floats = new Set<string>();
  const around: string[] = [];
  let name = "";
  for (const [token, string, colon] of text.matchAll(TOKEN)) {
    if (colon !== undefined) name = string!;
    else if (token === "{") around.push(name);
    else if (token === "}") name = around.pop() ?? "";
    else if (string === undefined && /[.eEN]|^-?I/.test(token)) floats.add(name);
  }
  return floats;
}

/** Reads config.json of a folder. @throws FormatError format/file, format/json */
export async function readConfig(folder: Folder): Promise<ConfigFile> {
  const text = await folder.text(CONFIG_FILE);
  const path = pathIn(folder, CONFIG_FILE);
  if (text === null) throw missingFile(path, "a JSON file");
  return { settings: parseUniqueKeys(withoutBareNumbers(text), path), floats: floatsIn(text) };
}

/** Settings that transformers declares as floats, for when no file was read that shows it (test/golden/data/configs). */
const FLOATS =
  /^(?!scale_factor)(?:\w+_(?:eps|epsilon|softcapping|coef|range|factor|noise|multipliers?|dropout|scale|limit|penalty)|clip_qkv|init_std|moe_norm_min|swiglu_alpha|temperature)$/;

/** Matches a name with a number, or with a list of numbers and of `__float__` objects. */
const NUMBERS =
  /^ *"(\w+)": (?:-?\d+|\[(?:\n *(?:-?\d[\d.e+-]*|\{\n *"__float__": "[-\w]+"\n *\}),?)*\n *\])(?=,?$)/gm;
const WHOLE = /(?<=^ *(?:"\w+": )?)-?\d+(?=,?$)/gm;

/** Does the same as `formatJson`, but writes 7.0 where Python has to read a float; `floats`: names as in `ConfigFile`. */
export function formatConfig(settings: JsonObject, floats: ReadonlySet<string> = new Set()): string {
  return formatJson(settings).replace(NUMBERS, (found, name: string) =>
    floats.has(name) || FLOATS.test(name) ? found.replace(WHOLE, "$&.0") : found,
  );
}
