/**
 * @file Runs a template with Python's semantics: as Jinja's documentation and compiler define it, with the settings of
 * `apply_chat_template` (trim_blocks, lstrip_blocks, no autoescape, loop controls).
 *
 * The parser is that of @huggingface/jinja; its interpreter is not used, because it has JavaScript's white space, writes lists
 * as JSON instead of Python's text, prefers keys to methods of the same name, has one scope for all iterations of a loop, and
 * lacks half of the filters.
 */
import { Expressions } from "./expressions.ts";
import { itemsOf } from "./members.ts";
import { Scope } from "./scope.ts";
import type {
  Block,
  Expression,
  ForStatement,
  MacroStatement,
  SetStatement,
  Statement,
  WritingStatement,
} from "./syntax.ts";
import {
  type Callable,
  Namespace,
  Tuple,
  Undefined,
  type JinjaValue,
  isEqual,
  isTrue,
  kindOf,
} from "./values.ts";
import { writeText } from "./written.ts";

/** Cost of one iteration of a loop, which makes a scope and the `loop` variable. */
const STEPS_OF_TURN = 10;

/** How an iteration of a loop is left early. */
type Jump = "Break" | "Continue" | null;

/** Pieces of the output text. */
type Output = string[];

export class Interpreter extends Expressions {
  /** Runs a template. @throws Error that says why it fails */
  run(block: Block, globals: ReadonlyMap<string, JinjaValue>): string {
    const scope = new Scope(null);
    for (const [name, value] of globals) scope.set(name, value);
    return this.#write(block, new Scope(scope));
  }

  #write(block: Block, scope: Scope): string {
    const out: Output = [];
    this.#runBlock(block, scope, out);
    this.meter.text(out.reduce((sum, { length }) => sum + length, 0));
    return out.join("");
  }

  #runBlock(block: Block, scope: Scope, out: Output): Jump {
    for (const statement of block) {
      const jump = this.#runStatement(statement, scope, out);
      if (jump !== null) return jump;
    }
    return null;
  }

  #runStatement(statement: Statement, scope: Scope, out: Output): Jump {
    this.meter.spend(1);
    if (statement.type === "Break" || statement.type === "Continue") return statement.type;
    if (statement.type === "If") {
      const isMet = isTrue(this.evaluate(statement.test, scope));
      return this.#runBlock(isMet ? statement.body : statement.alternate, scope, out);
    }
    if (statement.type === "For") this.#runLoop(statement, scope, out);
    else if (statement.type === "Set") this.#assign(statement, scope);
    else if (statement.type === "Macro") scope.set(statement.name.value, this.#macro(statement, scope));
    else if (statement.type !== "Comment") out.push(this.#text(this.#written(statement, scope)));
    return null;
  }

  #written(statement: WritingStatement, scope: Scope): JinjaValue {
    if (statement.type === "FilterStatement") {
      return this.filter(this.#write(statement.body, new Scope(scope)), statement.filter, scope);
    }
    if (statement.type !== "CallStatement") return this.evaluate(statement, scope);
    const { call, callerArgs, body } = statement;
    const caller = this.#macro({ args: callerArgs ?? [], body }, scope);
    return this.call(call, scope, new Map([["caller", caller]]));
  }

  #text(value: JinjaValue): string {
    return writeText(value, this.meter.counter());
  }

  #runLoop({ loopvar, iterable, body, defaultBlock }: ForStatement, scope: Scope, out: Output): void {
    const [list, test] =
      iterable.type === "SelectExpression" ? [iterable.lhs, iterable.test] : [iterable, null];
    const turns = itemsOf(this.evaluate(list, scope)).flatMap((item) => {
      const turn = new Scope(scope);
      this.#unpack(loopvar, item, turn);
      return test === null || isTrue(this.evaluate(test, turn)) ? [{ item, turn }] : [];
    });
    this.meter.items(turns.length);
    if (turns.length === 0) this.#runBlock(defaultBlock, new Scope(scope), out);
    const changed = this.#changes();
    for (const [i, { turn }] of turns.entries()) {
      this.meter.spend(STEPS_OF_TURN);
      const beside = (at: number): JinjaValue =>
        at in turns ? turns[at]!.item : new Undefined("the item beside it");
      const facts = loopFacts(i, turns.length, beside(i - 1), beside(i + 1));
      turn.set("loop", new Namespace(facts.set("changed", changed)));
      if (this.#runBlock(body, turn, out) === "Break") break;
    }
  }

  /** Makes a loop's `loop.changed()`, which tells whether its arguments differ from those of the last call. */
  #changes(): Callable {
    let last: JinjaValue[] | null = null;
    return (args) => {
      const given = [...args];
      if (last !== null && isEqual(last, given, this.meter.counter())) return false;
      last = given;
      return true;
    };
  }

  #assign({ assignee, value, body }: SetStatement, scope: Scope): void {
    const given = value === null ? this.#write(body, new Scope(scope)) : this.evaluate(value, scope);
    if (assignee.type !== "MemberExpression") return this.#unpack(assignee, given, scope);
    const holder = this.evaluate(assignee.object, scope);
    if (!(holder instanceof Namespace) || assignee.property.type !== "Identifier")
      throw new Error(`fields of ${kindOf(holder)} cannot be set`);
    holder.fields.set(assignee.property.value, given);
  }

  /** Assigns a value to a name, or its items to several names. */
  #unpack(target: Expression, value: JinjaValue, scope: Scope): void {
    if (target.type === "Identifier") return scope.set(target.value, value);
    if (target.type !== "TupleLiteral") throw new Error(`${target.type} cannot be set`);
    const items = itemsOf(value);
    if (items.length !== target.value.length)
      throw new Error(`${items.length} values for ${target.value.length} names`);
    for (const [i, one] of target.value.entries()) this.#unpack(one, items[i]!, scope);
  }

  #macro({ args: parameters, body }: Pick<MacroStatement, "args" | "body">, outer: Scope): Callable {
    const names = parameters.map(parameterName);
    return (args, named) => {
      const scope = new Scope(outer);
      const others = [...named].filter(([key]) => !names.includes(key));
      scope.set("varargs", Tuple.from(args.slice(names.length)));
      scope.set("kwargs", new Map(others));
      const caller = named.get("caller");
      if (caller !== undefined) scope.set("caller", caller);
      for (const [i, each] of parameters.entries()) {
        const name = names[i]!;
        const otherwise = each.type === "KeywordArgumentExpression" ? each.value : null;
        const given = i < args.length ? args[i] : named.get(name);
        if (given !== undefined) scope.set(name, given);
        else scope.set(name, otherwise ? this.evaluate(otherwise, scope) : new Undefined(`"${name}"`));
      }
      return this.#write(body, scope);
    };
  }
}

function parameterName(parameter: Expression): string {
  const target = parameter.type === "KeywordArgumentExpression" ? parameter.key : parameter;
  if (target.type === "Identifier") return target.value;
  throw new Error(`${target.type} is not a parameter name`);
}

/** Makes the `loop` variable of an iteration. */
function loopFacts(
  index: number,
  length: number,
  before: JinjaValue,
  after: JinjaValue,
): Map<string, JinjaValue> {
  const cycle: Callable = (args) => args[index % args.length] ?? null;
  const facts = {
    index: BigInt(index + 1),
    index0: BigInt(index),
    revindex: BigInt(length - index),
    revindex0: BigInt(length - index - 1),
    first: index === 0,
    last: index === length - 1,
    length: BigInt(length),
    depth: 1n,
    depth0: 0n,
    previtem: before,
    nextitem: after,
    cycle,
  };
  return new Map<string, JinjaValue>(Object.entries(facts));
}
