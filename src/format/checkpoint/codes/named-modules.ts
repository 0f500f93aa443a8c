/** @file Which modules a list in quantization settings names: as transformers reads such lists, or by expressions. */
import { fromPython } from "../../../untrusted/python-pattern.ts";
import { compileSafe } from "../../../untrusted/safe-pattern.ts";
import { TimeBudget } from "../../../untrusted/time-budget.ts";
import type { OutlinedMatrix } from "./codes-form.ts";

/** Whether a module is named. */
type NamesModule = (module: string) => boolean;

/** Lists what settings call a module: where a model reads images too, its text part lies in another module, first or second. */
export function namesOf(module: string): readonly string[] {
  const inside = module.replace(/^model\./, "model.language_model.");
  return [module, `language_model.${module}`, ...(inside === module ? [] : [inside])];
}

/** The texts of a list; none of what is no list. */
export function stringsOf(list: unknown): string[] {
  return Array.isArray(list) ? list.filter((each): each is string => typeof each === "string") : [];
}

/** Reads a list of the names of modules and of what they lie in, whole or the ends of these. */
function namesIn(list: unknown): NamesModule {
  const names = stringsOf(list);
  return (module) =>
    namesOf(module).some((own) =>
      names.some((name) => own.endsWith(name) || own.includes(name.endsWith(".") ? name : `${name}.`)),
    );
}

/** Reads a list of what names hold, as AutoAWQ has it. */
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

/** As `namesIn`, of a list of modules that stay in floats beside all embeddings; without one that is the head. */
export function isInCodes(kept: unknown): (matrix: OutlinedMatrix) => boolean {
  const isKept = namesIn(kept);
  const hasHead = Array.isArray(kept);
  return ({ module, role }) => (role === "weight" || (role === "head" && hasHead)) && !isKept(module);
}

const EXPRESSION = "re:";

/** Reads a list of names and of expressions after `re:`, as compressed-tensors has it; null: as `matchesOf`. */
export function targetsIn(list: unknown): NamesModule | null {
  const targets = stringsOf(list);
  const names = new Set(targets);
  const expressions = targets.filter((target) => target.startsWith(EXPRESSION));
  const matches = matchesOf(expressions.map((target) => target.slice(EXPRESSION.length)));
  return matches && ((module) => namesOf(module).some((own) => names.has(own)) || matches(module));
}
