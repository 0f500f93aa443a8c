/** @file What models are for, and what other programs call it. */

export interface TaskFacts {
  /** What PEFT calls it, as `task_type`; null: it has no word. */
  readonly peftWord: string | null;
  /** The auto class of transformers that loads such models of most families. */
  readonly loader: string;
  /** What they are for, in plain words. */
  readonly words: string;
  /** Whether their outputs are tokens. */
  readonly writesText: boolean;
}

/** What a model is for; `SequenceClassification` and its kin are told by `architectures` in config.json. */
export const MODEL_TASKS = {
  "causal-lm": {
    peftWord: "CAUSAL_LM",
    loader: "AutoModelForCausalLM",
    words: "generating text",
    writesText: true,
  },
  "sequence-classification": {
    peftWord: "SEQ_CLS",
    loader: "AutoModelForSequenceClassification",
    words: "classes and scores of texts",
    writesText: false,
  },
  "image-classification": {
    peftWord: null,
    loader: "AutoModelForImageClassification",
    words: "classes of images",
    writesText: false,
  },
} as const satisfies Readonly<Record<string, TaskFacts>>;

export type ModelTask = keyof typeof MODEL_TASKS;

/** Auto classes of transformers by what a model is for; null: none loads it. Tried with 5.24. */
export type AutoClasses = Partial<Readonly<Record<ModelTask, string | null>>>;

/** What PEFT calls by a word; null: nothing that graft knows. */
export function taskOfPeft(word: string): TaskFacts | null {
  return Object.values<TaskFacts>(MODEL_TASKS).find(({ peftWord }) => peftWord === word) ?? null;
}

/** Says why no other program reads such a model of a family. */
export function noClassFor({ words }: Pick<TaskFacts, "words">): string {
  return `transformers has no class of this family for ${words}`;
}
