/**
 * @file The statements and expressions that a template is made of, as @huggingface/jinja parses them: as much of its classes
 * as is used.
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
  /** Where there is no turn. */
  readonly defaultBlock: Block;
}

export interface SetStatement {
  readonly type: "Set";
  readonly assignee: Expression;
  /** Null: what the body writes. */
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

/** A name of a filter, with arguments or without. */
export type NamedCall = Identifier | CallExpression;

export interface MemberExpression {
  readonly type: "MemberExpression";
  readonly object: Expression;
  readonly property: Expression;
  /** Whether it stands in brackets. */
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
      /** Absent: the test has none. */
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
