/** @file A chat template as a function of its variables, with limits on its work. */
import { MAX_TEMPLATE_LENGTH } from "../../untrusted/limits.ts";
import { TimeBudget } from "../../untrusted/time-budget.ts";
import { calling } from "./arguments.ts";
import { Interpreter } from "./interpreter.ts";
import { itemsOf } from "./members.ts";
import { Meter } from "./meter.ts";
import { parseSyntax } from "./parse-syntax.ts";
import { type Callable, Namespace, type JinjaValue, isNumber, nameOf, valueOf } from "./values.ts";
import { writeText } from "./written.ts";

/** Maximum sum of squared lengths of white-space runs, which the library scans from each of their characters. */
const MAX_SPACE_SQUARES = 1e8;

/** Renders a template with its variables, JSON data or functions; the number of `messages` raises the limit of steps. */
export type Template = (variables: Readonly<Record<string, unknown>>) => string;

/** The global names of every template, as in `apply_chat_template`. */
function globalsOf(meter: Meter): Readonly<Record<string, JinjaValue>> {
  const dict: Callable = ([given], named) => {
    const pairs = given instanceof Map ? [...given] : itemsOf(given ?? []).map((pair) => itemsOf(pair));
    return new Map([...(pairs as [JinjaValue, JinjaValue][]), ...named]);
  };
  return {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    dict,
    namespace: (args, named) => {
      const fields = dict(args, named) as Map<JinjaValue, JinjaValue>;
      return new Namespace(new Map([...fields].map(([key, value]) => [nameOf(key), value])));
    },
    range: rangeOf(meter),
    raise_exception: ([message = null]) => {
      throw new Error(writeText(message, meter.counter()));
    },
  };
}

/** Python's `range`: numbers from `start` up to but not including `stop`. */
function rangeOf(meter: Meter): Callable {
  return calling((args) => {
    const [start = 0, stop, step = 1] = args.places().map((each) => {
      if (isNumber(each)) return Number(each);
      throw new Error("range() takes whole numbers");
    });
    const [from, to] = stop === undefined ? [0, start] : [start, stop];
    if (step === 0) throw new Error("range() step must not be zero");
    const count = Math.max(0, Math.ceil((to - from) / step));
    meter.items(count);
    meter.spend(count);
    return Array.from({ length: count }, (_, i) => BigInt(from + i * step));
  });
}

/**
 * Parses a template.
 * @throws Error when it cannot be parsed or is longer than a template may be; rendering throws when the template fails, takes
 * too many steps, or makes too much
 */
export function parseTemplate(source: string, budget = new TimeBudget()): Template {
  if (source.length > MAX_TEMPLATE_LENGTH)
    throw new Error(`${source.length} characters, expected at most ${MAX_TEMPLATE_LENGTH}`);
  const squares = (source.match(/\s{64,}/g) ?? []).reduce((sum, { length }) => sum + length ** 2, 0);
  if (squares > MAX_SPACE_SQUARES) throw new Error("mostly white space, expected a template");
  const parsed = parseSyntax(source);
  const meter = new Meter(budget);
  const globals = globalsOf(meter);
  return (variables) => {
    const { messages } = variables;
    const values = new Map(Object.entries(globals));
    for (const [name, data] of Object.entries(variables))
      if (data !== undefined) values.set(name, valueOf(data));
    const numMessages = Array.isArray(messages) ? messages.length : 0;
    return meter.render(numMessages, () => new Interpreter(meter).run(parsed, values));
  };
}
