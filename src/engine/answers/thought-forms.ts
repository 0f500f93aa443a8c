/** @file The list of forms in which models write what they think before they answer. */

/** How a model marks its thoughts. */
export interface ThoughtForm {
  /** Text in a chat template by which the form is recognized. */
  readonly sign: string;
  /** Marks that begin a thought. */
  readonly opens: readonly string[];
  readonly close: string;
  /** Tokens that are special in the vocabulary but must be decoded in an answer. */
  readonly tokens: readonly string[];
  /** Marks that precede a part of an answer and are not shown. */
  readonly heads: readonly string[];
  /** Mark that ends a part of an answer, after which another thought or part may follow; null: an answer has one part. */
  readonly partEnd: string | null;
}

function betweenMarks(open: string, close: string, sign = close): ThoughtForm {
  return { sign, opens: [open], close, tokens: [open, close], heads: [], partEnd: null };
}

export const THINK = betweenMarks("<think>", "</think>");
const MISTRAL = betweenMarks("[THINK]", "[/THINK]");
const GEMMA4: ThoughtForm = {
  ...betweenMarks("<|channel>thought", "<channel|>"),
  tokens: ["<|channel>", "<channel|>"],
};

/**
 * How messages of gpt-oss begin in one of its channels; the prompt has begun the first message. The channel's name may be
 * followed by the kind of its content.
 */
function channel(name: string, contents: readonly string[] = [""]): string[] {
  const heads = contents.map((content) => `<|channel|>${name}${content}<|message|>`);
  return heads.flatMap((head) => [head, `<|start|>assistant${head}`]);
}
const ANSWERS = ["", " <|constrain|>json", "<|constrain|>json"];

/** OpenAI's harmony format: thoughts and parts of the answer are messages, each in a channel. */
const HARMONY: ThoughtForm = {
  sign: "<|channel|>analysis<|message|>",
  opens: channel("analysis"),
  close: "<|end|>",
  tokens: ["<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>"],
  heads: [...channel("final", ANSWERS), ...channel("commentary", ANSWERS)],
  partEnd: "<|end|>",
};

const FORMS: readonly ThoughtForm[] = [THINK, MISTRAL, GEMMA4, HARMONY];

/** Returns a form with each mark rewritten. */
export function mapMarks(form: ThoughtForm, write: (mark: string) => string): ThoughtForm {
  const { opens, close, heads, partEnd } = form;
  return {
    ...form,
    opens: opens.map(write),
    close: write(close),
    heads: heads.map(write),
    partEnd: partEnd === null ? null : write(partEnd),
  };
}

/** Finds the form of a model by its chat template; null: the model does not think. */
export function findThoughtForm(template: string): ThoughtForm | null {
  return FORMS.find(({ sign }) => template.includes(sign)) ?? null;
}
