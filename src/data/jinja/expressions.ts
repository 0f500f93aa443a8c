/** @file Evaluates the expressions of a template. */
import { Arguments } from "./arguments.ts";
import { filtered } from "./filters.ts";
import { attributeOf, itemOf, itemsOf, requireDefined, sliceOf } from "./members.ts";
import type { Meter } from "./meter.ts";
import { BINARY, negate } from "./operators.ts";
import type { Scope } from "./scope.ts";
import type { BinaryExpression, CallExpression, Expression, MemberExpression, NamedCall } from "./syntax.ts";
import { findTest } from "./tests.ts";
import { type Named, Tuple, Undefined, type JinjaValue, isTrue, kindOf, nameOf } from "./values.ts";

export class Expressions {
  protected readonly meter: Meter;

  constructor(meter: Meter) {
    this.meter = meter;
  }

  evaluate(expression: Expression, scope: Scope): JinjaValue {
    this.meter.spend(1);
    const valueOf = (each: Expression): JinjaValue => this.evaluate(each, scope);
    switch (expression.type) {
      case "StringLiteral":
      case "FloatLiteral":
        return expression.value;
      case "IntegerLiteral":
        if (Number.isSafeInteger(expression.value)) return BigInt(expression.value);
        throw new Error("a whole number beyond 2⁵³ in the template, of which digits are lost");
      case "ArrayLiteral":
        return expression.value.map(valueOf);
      case "TupleLiteral":
        return Tuple.from(expression.value, valueOf);
      case "ObjectLiteral":
        return new Map([...expression.value].map(([key, value]) => [valueOf(key), valueOf(value)]));
      case "Identifier":
        return scope.get(expression.value);
      case "MemberExpression":
        return this.#member(expression, scope);
      case "CallExpression":
        return this.call(expression, scope);
      case "UnaryExpression":
        return negate(expression.operator.value, valueOf(expression.argument));
      case "BinaryExpression":
        return this.#binary(expression, scope);
      case "FilterExpression":
        return this.filter(valueOf(expression.operand), expression.filter, scope);
      case "TestExpression": {
        const test = findTest(expression.test.value);
        const args = (expression.args ?? []).map(valueOf);
        return test(valueOf(expression.operand), args, this.meter) !== expression.negate;
      }
      case "SelectExpression":
        return isTrue(valueOf(expression.test)) ? valueOf(expression.lhs) : new Undefined("the other case");
      case "Ternary":
        return isTrue(valueOf(expression.condition))
          ? valueOf(expression.trueExpr)
          : valueOf(expression.falseExpr);
      case "SliceExpression":
      case "KeywordArgumentExpression":
      case "SpreadExpression":
      case "KeywordSpreadExpression":
        break;
    }
    throw new Error(`${expression.type} is where a value should be`);
  }

  /** Calls a function or macro; `more`: further named arguments. */
  protected call({ callee, args }: CallExpression, scope: Scope, more: Named = new Map()): JinjaValue {
    const called = this.evaluate(callee, scope);
    requireDefined(called);
    if (typeof called !== "function") throw new Error(`${kindOf(called)} cannot be called`);
    const given = this.#arguments(args, scope);
    return this.#made(called(given.args, new Map([...given.named, ...more])));
  }

  protected filter(value: JinjaValue, filter: NamedCall, scope: Scope): JinjaValue {
    const [name, args] = filter.type === "CallExpression" ? [filter.callee, filter.args] : [filter, []];
    const { args: places, named } = this.#arguments(args, scope);
    const call = { args: new Arguments(places, named), meter: this.meter };
    return this.#made(filtered((name as { readonly value: string }).value, value, call));
  }

  /** Counts the size of a new value. */
  #made(value: JinjaValue): JinjaValue {
    if (typeof value === "string") this.meter.text(value.length);
    else if (Array.isArray(value)) this.meter.items(value.length);
    return value;
  }

  #arguments(
    given: readonly Expression[],
    scope: Scope,
  ): { readonly args: JinjaValue[]; readonly named: Map<string, JinjaValue> } {
    const [args, named]: [JinjaValue[], Map<string, JinjaValue>] = [[], new Map()];
    for (const each of given) {
      if (each.type === "KeywordArgumentExpression")
        named.set(each.key.value, this.evaluate(each.value, scope));
      else if (each.type === "SpreadExpression") args.push(...itemsOf(this.evaluate(each.argument, scope)));
      else if (each.type === "KeywordSpreadExpression") {
        const dict = this.evaluate(each.argument, scope);
        if (!(dict instanceof Map)) throw new Error(`** takes a dict, found ${kindOf(dict)}`);
        for (const [key, value] of dict) named.set(nameOf(key), value);
      } else args.push(this.evaluate(each, scope));
    }
    return { args, named };
  }

  #member({ object, property, computed }: MemberExpression, scope: Scope): JinjaValue {
    const value = this.evaluate(object, scope);
    if (property.type === "SliceExpression") {
      const ends = [property.start, property.stop, property.step];
      return sliceOf(
        value,
        ends.map((end) => end && this.evaluate(end, scope)),
        this.meter,
      );
    }
    if (computed) return itemOf(value, this.evaluate(property, scope), this.meter);
    if (property.type === "Identifier") return attributeOf(value, property.value, this.meter);
    return itemOf(value, this.evaluate(property, scope), this.meter);
  }

  #binary({ operator, left, right }: BinaryExpression, scope: Scope): JinjaValue {
    const first = this.evaluate(left, scope);
    if (operator.value === "and") return isTrue(first) ? this.evaluate(right, scope) : first;
    if (operator.value === "or") return isTrue(first) ? first : this.evaluate(right, scope);
    const operation = BINARY[operator.value];
    if (!operation) throw new Error(`the operator ${operator.value} is unknown`);
    return operation(first, this.evaluate(right, scope), this.meter);
  }
}
