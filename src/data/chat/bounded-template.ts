/**
 * @file A Jinja template that cannot run without end: the library's interpreter, counting what it does.
 *
 * Each rendering earns steps and takes those that it uses, so that one long conversation may need many and a template that
 * loops for its own sake ends at once, in every row. Counting costs a few nanoseconds a step. The clock is looked at as well:
 * what a step takes is the library's own matter.
 */
import { Environment, Interpreter, Template } from "@huggingface/jinja";
import { MAX_TEMPLATE_LENGTH } from "../../untrusted/limits.ts";
import { TimeBudget } from "../../untrusted/time-budget.ts";

/** Steps that are saved up at most, about a second's; and those that a rendering and each of its messages earns. */
const [MOST_STEPS, STEPS_OF_RENDERING, STEPS_OF_MESSAGE] = [2e6, 50_000, 2000];
/** What a turn of a loop costs, which makes scopes and tells where it stands. */
const STEPS_OF_TURN = 10;
/** Items of a list and characters of a text that a template may make. */
const [MAX_ITEMS, MAX_TEXT] = [100_000, 1 << 24];
/** Values in each other, counted as often as they are written: lists in lists double with each level. */
const MAX_NESTED = 1_000_000;
/** What is worked on costs a step for so many characters, or values. */
const [TEXT_OF_STEP, VALUES_OF_STEP] = [256, 8];
/** Filters whose time does not depend on how long a list is. */
const QUICK_FILTERS = new Set(["length", "first", "last"]);
/** Squares of the runs of white space, which the library looks at from each of their characters. */
const MAX_SPACE_SQUARES = 1e8;
/** What a step takes of the budget of time, in its characters. */
const CHARACTERS_OF_STEP = 1000;

type Parsed = Template["parsed"];
type Evaluated = ReturnType<Interpreter["evaluate"]>;

/** What the language itself gives to every template. */
const GLOBALS: Readonly<Record<string, unknown>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception: (message: string): never => {
    throw new Error(message);
  },
};

/** The library's interpreter, whose methods are private for its types alone. */
const Evaluator = Interpreter as unknown as new (environment: Environment) => {
  run(program: Parsed): Evaluated;
  evaluate(statement: unknown, environment: Environment): Evaluated;
  evaluateBlock(statements: unknown, environment: Environment): Evaluated;
};

/** What a statement works on as a whole, such as by writing all of it; a part of it is taken by others. */
interface Working {
  readonly type: string;
  readonly left?: object;
  readonly right?: object;
  readonly operand?: object;
  readonly filter?: { readonly value?: unknown; readonly args?: readonly object[] };
  readonly args?: readonly object[];
}

function workedOn({ type, left, right, operand, filter, args }: Working): readonly object[] {
  if (type === "BinaryExpression") return [left, right].filter((side) => side !== undefined);
  if (type === "CallExpression") return args ?? [];
  if (type !== "FilterExpression" || operand === undefined) return [];
  return QUICK_FILTERS.has(String(filter?.value)) ? [] : [operand, ...(filter?.args ?? [])];
}

/** Counts values in each other. */
function countNested(value: unknown, most: number): number {
  const parts = value instanceof Map ? [...value.values()] : Array.isArray(value) ? value : [];
  let count = 1;
  for (const part of parts as { readonly value: unknown }[]) {
    if (count > most) break;
    count += countNested(part.value, most - count);
  }
  return count;
}

class CountingInterpreter extends Evaluator {
  readonly #spend: (steps: number) => void;
  readonly #whole = new WeakSet<object>();

  constructor(environment: Environment, spend: (steps: number) => void) {
    super(environment);
    this.#spend = spend;
  }

  override evaluate(statement: unknown, environment: Environment): Evaluated {
    this.#spend(1);
    // An end of a slice that is left out.
    if (statement === undefined) return super.evaluate(statement, environment);
    for (const part of workedOn(statement as Working)) this.#whole.add(part);
    const result = super.evaluate(statement, environment);
    const { value } = result as { readonly value: unknown };
    if (typeof value === "string") {
      if (value.length > MAX_TEXT)
        throw new Error(`a text of ${value.length} characters, expected at most ${MAX_TEXT}`);
      this.#spend(Math.floor(value.length / TEXT_OF_STEP));
    } else if (typeof value === "object" && this.#whole.has(statement as object)) {
      const count = countNested(value, MAX_NESTED);
      if (count > MAX_NESTED) throw new Error(`more than ${MAX_NESTED} values in each other`);
      this.#spend(Math.floor(count / VALUES_OF_STEP));
    }
    if (Array.isArray(value) && value.length > MAX_ITEMS)
      throw new Error(`a list of ${value.length} items, expected at most ${MAX_ITEMS}`);
    return result;
  }

  /** The body of a loop, which may be empty. */
  override evaluateBlock(statements: unknown, environment: Environment): Evaluated {
    this.#spend(STEPS_OF_TURN);
    for (const statement of statements as readonly object[]) this.#whole.add(statement);
    return super.evaluateBlock(statements, environment);
  }
}

/** Numbers from `start` to before `stop`, as Jinja's function of the name. */
function range(spend: (steps: number) => void): (start: number, stop?: number, step?: number) => number[] {
  return (start, stop, step = 1) => {
    const [from, to] = typeof stop === "number" ? [start, stop] : [0, start];
    const by = typeof step === "number" ? step : 1;
    if (by === 0) throw new Error("range() step must not be zero");
    const count = Math.max(0, Math.ceil((to - from) / by));
    if (!(count <= MAX_ITEMS)) throw new Error(`range() of ${count} numbers, expected at most ${MAX_ITEMS}`);
    spend(count);
    return Array.from({ length: count }, (_, i) => from + i * by);
  };
}

/** Renders a template with its variables, of which `messages` are counted. */
export type BoundedTemplate = (variables: Readonly<Record<string, unknown>>) => string;

/**
 * Parses a template.
 * @throws Error when it cannot be parsed or is longer than templates are; rendering: when it takes too many steps
 */
export function parseBounded(source: string, budget = new TimeBudget()): BoundedTemplate {
  if (source.length > MAX_TEMPLATE_LENGTH)
    throw new Error(`${source.length} characters, expected at most ${MAX_TEMPLATE_LENGTH}`);
  const squares = (source.match(/\s{64,}/g) ?? []).reduce((sum, { length }) => sum + length ** 2, 0);
  if (squares > MAX_SPACE_SQUARES) throw new Error("more white space than text, expected a template");
  const { parsed } = new Template(source);
  let left = MOST_STEPS;
  const spend = (steps: number): void => {
    left -= steps;
    if (left < 0) throw new Error("it goes on without end: too many steps for so many messages");
    budget.spend(CHARACTERS_OF_STEP * steps);
  };
  return (variables) => {
    const { messages } = variables;
    const earned = STEPS_OF_RENDERING + STEPS_OF_MESSAGE * (Array.isArray(messages) ? messages.length : 0);
    left = Math.min(MOST_STEPS, Math.max(0, left) + earned);
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...GLOBALS, range: range(spend), ...variables }))
      environment.set(name, value);
    const interpreter = new CountingInterpreter(environment, spend);
    return budget.use(earned, () => (interpreter.run(parsed) as { readonly value: string }).value);
  };
}
