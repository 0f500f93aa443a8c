/** @file The list of forms in which models write what they think before they answer. */

/** How a model marks its thoughts. */
export interface ThoughtForm {
  /** What its chat template writes or looks for. */
  readonly sign: string;
  /** What a thought begins with: one of these. */
  readonly opens: readonly string[];
  readonly close: string;
  /** What is shown of an answer although the vocabulary has it as special. */
  readonly tokens: readonly string[];
  /** What stands before a part of an answer, and is text of none. */
  readonly heads: readonly string[];
  /** What a part of an answer ends with, behind which there may be another thought or part; null: an answer has one part. */
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

/** What messages of gpt-oss begin with in one of its channels; the prompt has begun the first. Behind it they may say what they hold. */
function channel(name: string, contents: readonly string[] = [""]): string[] {
  const heads = contents.map((content) => `<|channel|>${name}${content}<|message|>`);
  return heads.flatMap((head) => [head, `<|start|>assistant${head}`]);
}
const ANSWERS = ["", " <|constrain|>json", "<|constrain|>json"];

/** OpenAI's harmony: thoughts and parts of the answer are messages, each in a channel. */
const HARMONY: ThoughtForm = {
  sign: "<|channel|>analysis<|message|>",
  opens: channel("analysis"),
  close: "<|end|>",
  tokens: ["<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>"],
  heads: [...channel("final", ANSWERS), ...channel("commentary", ANSWERS)],
  partEnd: "<|end|>",
};

const FORMS: readonly ThoughtForm[] = [THINK, MISTRAL, GEMMA4, HARMONY];

/** The same form with its marks written otherwise. */
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

/** The form of a model that thinks; null: it does not. */
export function findThoughtForm(template: string): ThoughtForm | null {
  return FORMS.find(({ sign }) => template.includes(sign)) ?? null;
}
