/**
 * @file Expressions of adapter arithmetic: `0.6*sales + 0.4*support - toxic`.
 *
 *   sum = product { ("+" | "-") product }     product = factor { "*" factor }
 *   factor = number | name | "-" factor | "(" sum ")"     name = [A-Za-z_][A-Za-z0-9_.-]*
 *
 * One factor of a product is an adapter or a sum, the others are numbers. The result is in normal form: only the outermost sum
 * can have a single member.
 */
import { UsageError } from "../../errors.ts";
import { nearest } from "../../messages/nearest.ts";

/** A member of a sum: a number times an adapter's name or a sum in parentheses. */
interface Summand {
  readonly weight: number;
  readonly of: string | Sum;
}

export interface Sum {
  readonly terms: readonly Summand[];
}

interface Token {
  readonly kind: "number" | "name" | "symbol" | "end";
  readonly text: string;
  /** Index of its first character. */
  readonly at: number;
}

/** Most nested levels of parentheses and signs. */
const MAX_DEPTH = 100;

/** A number, a name, a symbol, or a character that is none of them. */
const TOKEN = /((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|([A-Za-z_][A-Za-z0-9_.-]*)|([-+*()])|\S/g;

/**
 * Reads an expression over the adapters called `names`, each of which it must use.
 * @throws UsageError "usage/combine" that says where reading stopped and what was expected there.
 */
export function parseExpression(text: string, names: readonly string[]): Sum {
  const sum = new Parser(text, names).whole();
  const used = weightsOf(sum);
  const unused = names.filter((name) => !used.has(name));
  if (unused.length > 0) {
    throw new UsageError(
      "usage/combine",
      `Cannot use expression "${text}": it does not name adapter ${unused.map((name) => `"${name}"`).join(", ")}`,
      { hint: "Leave these adapters out, or add them to the expression." },
    );
  }
  return sum;
}

/** Writes a sum so that reading it gives the same. */
export function formatExpression({ terms }: Sum): string {
  const parts = terms.map(({ weight, of }, i) => {
    const member = typeof of === "string" ? of : `(${formatExpression(of)})`;
    const size = Math.abs(weight) === 1 ? member : `${Math.abs(weight)}*${member}`;
    const sign = weight < 0 ? "-" : "+";
    if (i === 0) return weight < 0 ? `-${size}` : size;
    return ` ${sign} ${size}`;
  });
  return parts.join("");
}

/** Expands a sum to the weight of each adapter. */
export function weightsOf(sum: Sum): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  const visit = ({ terms }: Sum, factor: number): void => {
    for (const { weight, of } of terms) {
      if (typeof of === "string") weights.set(of, (weights.get(of) ?? 0) + factor * weight);
      else visit(of, factor * weight);
    }
  };
  visit(sum, 1);
  return weights;
}

/** The part of a product read so far: a number, and the adapter or sum that it multiplies, if already read. */
interface Product {
  readonly weight: number;
  readonly of: string | Sum | null;
}

class Parser {
  readonly #text: string;
  readonly #names: readonly string[];
  readonly #tokens: readonly Token[];
  #index = 0;
  #depth = 0;

  constructor(text: string, names: readonly string[]) {
    this.#text = text;
    this.#names = names;
    const tokens = [...text.matchAll(TOKEN)].map((match): Token => {
      const [word, number, name, symbol] = match;
      const kind = number === undefined ? (name === undefined ? "symbol" : "name") : "number";
      const token: Token = { kind, text: word, at: match.index };
      if ((number ?? name ?? symbol) === undefined)
        throw this.#unexpected(token, "an adapter, a number, +, -, * or (");
      return token;
    });
    this.#tokens = [...tokens, { kind: "end", text: "", at: text.trimEnd().length }];
  }

  whole(): Sum {
    const sum = this.#sum();
    if (this.#next.kind !== "end") throw this.#unexpected(this.#next, "+, - or *");
    const [only] = sum.terms;
    if (sum.terms.length > 1 || only?.weight !== 1 || typeof only.of === "string") return sum;
    // "(a + b)" is "a + b".
    return only.of;
  }

  #sum(): Sum {
    const terms = [this.#product(1)];
    while (this.#nextIs("+") || this.#nextIs("-"))
      terms.push(this.#product(this.#take().text === "-" ? -1 : 1));
    return { terms };
  }

  #product(sign: 1 | -1): Summand {
    const start = this.#next;
    let { weight, of } = this.#factor();
    while (this.#nextIs("*")) {
      this.#take();
      const { at } = this.#next;
      const factor = this.#factor();
      if (of !== null && factor.of !== null)
        throw this.#problem(at, "an adapter times an adapter", "a number");
      weight *= factor.weight;
      of ??= factor.of;
    }
    if (of === null) {
      if (this.#next.kind === "name" || this.#nextIs("(")) throw this.#unexpected(this.#next, "* before it");
      const number = this.#text.slice(start.at, this.#next.at).trim();
      throw this.#problem(this.#next.at, `"${number}" alone`, "* and an adapter after it");
    }
    // Adding 0 avoids -0, which would be read back as 0.
    return { weight: sign * weight + 0, of };
  }

  /** Reads a factor, which may be nested up to `MAX_DEPTH`. */
  #factor(): Product {
    if (this.#depth === MAX_DEPTH) throw this.#unexpected(this.#next, `fewer than ${MAX_DEPTH} levels`);
    this.#depth++;
    const product = this.#factorInside();
    this.#depth--;
    return product;
  }

  #factorInside(): Product {
    const token = this.#take();
    if (token.kind === "number") return { weight: this.#number(token), of: null };
    if (token.kind === "name") return { weight: 1, of: this.#name(token) };
    if (token.text === "-") {
      const { weight, of } = this.#factor();
      return { weight: -weight, of };
    }
    if (token.text !== "(") throw this.#unexpected(token, "an adapter, a number or (");
    const inner = this.#sum();
    const close = this.#take();
    if (close.text !== ")") throw this.#unexpected(close, "+, -, * or )");
    const [only] = inner.terms;
    return inner.terms.length === 1 && only ? only : { weight: 1, of: inner };
  }

  #number(token: Token): number {
    const value = Number(token.text);
    if (!Number.isFinite(value)) throw this.#unexpected(token, "a number that fits into 64 bits");
    return value;
  }

  #name({ text, at }: Token): string {
    if (this.#names.includes(text)) return text;
    const names = this.#names;
    const expected =
      names.length === 0 ? "a given adapter" : names.length === 1 ? names[0]! : `one of ${names.join(", ")}`;
    const parts = text.split("-");
    const isFactor = (part: string): boolean =>
      part !== "" && Number.isFinite(Number(part)) && this.#nextIs("*");
    const isDifference =
      parts.length > 1 &&
      parts.every((part, i) => names.includes(part) || (i === parts.length - 1 && isFactor(part)));
    const match = nearest(text, this.#names);
    throw new UsageError(
      "usage/combine",
      `Cannot find adapter "${text}" at character ${at + 1} of "${this.#text}": expected ${expected}`,
      {
        hint: isDifference
          ? `A name may contain a minus; write a difference with spaces: ${parts.join(" - ")}.`
          : match === null
            ? `Give it with --adapter ${text}=FOLDER.`
            : `Did you mean "${match}"?`,
      },
    );
  }

  get #next(): Token {
    return this.#tokens[this.#index]!;
  }

  #nextIs(symbol: string): boolean {
    return this.#next.kind === "symbol" && this.#next.text === symbol;
  }

  #take(): Token {
    const token = this.#next;
    if (token.kind !== "end") this.#index++;
    return token;
  }

  #unexpected({ kind, text, at }: Token, expected: string): UsageError {
    const found = kind === "end" ? (at === 0 ? "it is empty" : "it ends there") : `"${text}"`;
    return this.#problem(at, found, expected);
  }

  #problem(at: number, found: string, expected: string): UsageError {
    return new UsageError(
      "usage/combine",
      `Cannot read expression "${this.#text}" at character ${at + 1}: ${found}, expected ${expected}`,
      { hint: 'Write it like "0.6*a + 0.4*b - c" or "0.9*a + 0.1*(b - c)".' },
    );
  }
}
