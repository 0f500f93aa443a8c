/** @file The tasks of models, and their names in other programs. */

export interface TaskFacts {
  /** Its `task_type` in PEFT; null: PEFT has no name for it. */
  readonly peftWord: string | null;
  /** The auto class of transformers that loads models for it, in most families. */
  readonly loader: string;
  /** A plain description. */
  readonly words: string;
  /** Whether their outputs are tokens. */
  readonly writesText: boolean;
}

/** The tasks; `architectures` in config.json tells which one a model is for, as `…ForSequenceClassification`. */
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

/** Auto classes of transformers by task; null: none loads the model. Tested with 5.24. */
export type AutoClasses = Partial<Readonly<Record<ModelTask, string | null>>>;

/** Finds the task of a `task_type` of PEFT; null: graft does not know it. */
export function taskOfPeft(word: string): TaskFacts | null {
  return Object.values<TaskFacts>(MODEL_TASKS).find(({ peftWord }) => peftWord === word) ?? null;
}

/** Explains why no other program reads a model of a family for a task. */
export function noClassFor({ words }: Pick<TaskFacts, "words">): string {
  return `transformers has no class of this family for ${words}`;
}
