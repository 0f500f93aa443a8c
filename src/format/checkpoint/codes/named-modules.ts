/** @file Which modules a list in quantization settings names: as transformers reads such lists, or by expressions. */
import { fromPython } from "../../../untrusted/python-pattern.ts";
import { compileSafe } from "../../../untrusted/safe-pattern.ts";
import { TimeBudget } from "../../../untrusted/time-budget.ts";
import type { OutlinedMatrix } from "./codes-form.ts";

/** Whether a module is named. */
type NamesModule = (module: string) => boolean;

/** Lists names that settings may have for a module: in models that also read images, the text model lies in `language_model`. */
export function namesOf(module: string): readonly string[] {
  const inside = module.replace(/^model\./, "model.language_model.");
  return [module, `language_model.${module}`, ...(inside === module ? [] : [inside])];
}

/** Returns the texts of a list; none if it is not a list. */
export function stringsOf(list: unknown): string[] {
  return Array.isArray(list) ? list.filter((each): each is string => typeof each === "string") : [];
}

/** Reads a list of names of modules or of their parents, whole or only the ends of names. */
function namesIn(list: unknown): NamesModule {
  const names = stringsOf(list);
  return (module) =>
    namesOf(module).some((own) =>
      names.some((name) => own.endsWith(name) || own.includes(name.endsWith(".") ? name : `${name}.`)),
    );
}

/** Reads a list of substrings of names, as AutoAWQ writes it. */
export function partsIn(list: unknown): NamesModule {
  const parts = stringsOf(list);
  return (module) => namesOf(module).some((own) => parts.some((part) => own.includes(part)));
}

/** Reads Python's expressions that a name has to begin with; null: one has no equal in JavaScript, or may search without end. */
export function matchesOf(sources: readonly string[]): NamesModule | null {
  const budget = new TimeBudget();
  let patterns: readonly ReturnType<typeof compileSafe>[];
  try {
    patterns = sources.map((source) => compileSafe(`^(?:${fromPython(source)})`, "", budget));
  } catch {
    return null;
  }
  return (module) =>
    budget.use(module.length * patterns.length, () =>
      namesOf(module).some((own) => patterns.some((pattern) => pattern.test(own))),
    );
}

/** Tells which matrices are in codes: not those in the list `kept` (as for `namesIn`), nor embeddings; nor the head, without a list. */
export function isInCodes(kept: unknown): (matrix: OutlinedMatrix) => boolean {
  const isKept = namesIn(kept);
  const hasHead = Array.isArray(kept);
  return ({ module, role }) => (role === "weight" || (role === "head" && hasHead)) && !isKept(module);
}

const EXPRESSION = "re:";

/** Reads a list of names, and of expressions after `re:`, as compressed-tensors writes it; null as in `matchesOf`. */
export function targetsIn(list: unknown): NamesModule | null {
  const targets = stringsOf(list);
  const names = new Set(targets);
  const expressions = targets.filter((target) => target.startsWith(EXPRESSION));
  const matches = matchesOf(expressions.map((target) => target.slice(EXPRESSION.length)));
  return matches && ((module) => namesOf(module).some((own) => names.has(own)) || matches(module));
}
