/**
 * @file The statements and expressions of a template, as @huggingface/jinja parses them: only the parts of its classes that are
 * used.
 */
export type Statement =
  | WritingStatement
  | IfStatement
  | ForStatement
  | SetStatement
  | MacroStatement
  | { readonly type: "Break" }
  | { readonly type: "Continue" }
  | { readonly type: "Comment" };

export type WritingStatement =
  | Expression
  | {
      readonly type: "CallStatement";
      readonly call: CallExpression;
      readonly callerArgs: readonly Expression[] | null;
      readonly body: Block;
    }
  | { readonly type: "FilterStatement"; readonly filter: NamedCall; readonly body: Block };

interface IfStatement {
  readonly type: "If";
  readonly test: Expression;
  readonly body: Block;
  readonly alternate: Block;
}

export type Block = readonly Statement[];

export interface ForStatement {
  readonly type: "For";
  readonly loopvar: Expression;
  readonly iterable: Expression;
  readonly body: Block;
  /** Runs if the loop has no iteration. */
  readonly defaultBlock: Block;
}

export interface SetStatement {
  readonly type: "Set";
  readonly assignee: Expression;
  /** Null: the value is the output of the body. */
  readonly value: Expression | null;
  readonly body: Block;
}

export interface MacroStatement {
  readonly type: "Macro";
  readonly name: Identifier;
  readonly args: readonly Expression[];
  readonly body: Block;
}

interface Identifier {
  readonly type: "Identifier";
  readonly value: string;
}

export interface CallExpression {
  readonly type: "CallExpression";
  readonly callee: Expression;
  readonly args: readonly Expression[];
}

/** The name of a filter, with or without arguments. */
export type NamedCall = Identifier | CallExpression;

export interface MemberExpression {
  readonly type: "MemberExpression";
  readonly object: Expression;
  readonly property: Expression;
  /** Whether the property is written in brackets. */
  readonly computed: boolean;
}

interface SliceExpression {
  readonly type: "SliceExpression";
  readonly start?: Expression;
  readonly stop?: Expression;
  readonly step?: Expression;
}

export interface BinaryExpression {
  readonly type: "BinaryExpression";
  readonly operator: { readonly value: string };
  readonly left: Expression;
  readonly right: Expression;
}

export type Expression =
  | Identifier
  | CallExpression
  | MemberExpression
  | SliceExpression
  | BinaryExpression
  | { readonly type: "IntegerLiteral" | "FloatLiteral"; readonly value: number }
  | { readonly type: "StringLiteral"; readonly value: string }
  | { readonly type: "ArrayLiteral" | "TupleLiteral"; readonly value: readonly Expression[] }
  | { readonly type: "ObjectLiteral"; readonly value: ReadonlyMap<Expression, Expression> }
  | {
      readonly type: "UnaryExpression";
      readonly operator: { readonly value: string };
      readonly argument: Expression;
    }
  | { readonly type: "FilterExpression"; readonly operand: Expression; readonly filter: NamedCall }
  | {
      readonly type: "TestExpression";
      readonly operand: Expression;
      readonly negate: boolean;
      readonly test: Identifier;
      /** Absent: the test has no arguments. */
      readonly args?: readonly Expression[];
    }
  | { readonly type: "SelectExpression"; readonly lhs: Expression; readonly test: Expression }
  | {
      readonly type: "Ternary";
      readonly condition: Expression;
      readonly trueExpr: Expression;
      readonly falseExpr: Expression;
    }
  | { readonly type: "KeywordArgumentExpression"; readonly key: Identifier; readonly value: Expression }
  | { readonly type: "SpreadExpression" | "KeywordSpreadExpression"; readonly argument: Expression };
