/** @file Describes the lines that commands write with `--json`: which command writes a line, when, and its keys. */
import { DATA_KINDS } from "../../src/data/examples/data-kinds.ts";
import { PROBLEM_TYPES } from "../../src/models/config/classifier-config.ts";
import { EVAL_METRICS } from "../../src/train/eval-metrics.ts";
import { defaultObjective } from "../../src/train/objectives.ts";
import { code, table } from "./tables.ts";

interface JsonLine {
  readonly event: string;
  readonly by: string;
  readonly says: string;
  /** Keys other than `event`; those with "?" may be absent. */
  readonly keys: string;
}

/** Keys for a text that was written. */
const TEXT = "prompt_ids, ids, text, finish_reason, tokens_per_second, first_token_ms, reused_tokens";

/** Keys for the quality of a model, each for the kinds of models that have it; predictions of text are not among them. */
const METRICS = EVAL_METRICS.filter((metric) =>
  [null, ...PROBLEM_TYPES].some((problem) => {
    const objective = defaultObjective({ problem });
    const isLookedAt = DATA_KINDS[objective.rows].problem !== null;
    return metric.isOf(objective) && (isLookedAt || !metric.needsPredictions);
  }),
).map(({ key }) => (key === "loss" ? key : `${key}?`));

/** A link to the page that lists them. */
const A_TRAINING = "[those of a training](training.md#what-a-step-is)";

/** Keys of `done`, by command. */
const DONE: Readonly<Record<string, string>> = {
  "train, quickstart": A_TRAINING,
  pull: "name, path, source, size_bytes",
  eval: [...METRICS, "tokens?", "texts?", "images?"].join(", "),
  classify: "texts, output",
  "generate --prompt": TEXT,
  "generate --prompts": "texts, tokens, seconds, output",
  "keys add": "name, role, key",
  "keys list": "keys",
  "keys remove": "name",
  merge:
    "output, format, changed_tensors, substitutes, rounded_tensors, mean_error, worst_error, worst_tensor, lost_change, loss_before?, loss_after?, tokens?",
  convert: "output, from, to, modules",
  export: "output, compute",
  combine: "output, expression, type, method, parameters, residual, start_cosine, warnings",
  fisher: "output, examples, parameters",
  push: "name, url, commit, kind, private, files, left_out, notes",
  "graft --version": "version",
};

export const JSON_LINES: readonly JsonLine[] = [
  { event: "error", by: "each", says: "the command failed or was stopped", keys: "code, message, hint" },
  { event: "help", by: "each", says: "help was requested", keys: "text" },
  {
    event: "note",
    by: "train, quickstart, plan",
    says: "something that the caller should see; `level` is `info` or `warn`",
    keys: "level, message",
  },
  {
    event: "read",
    by: "train, quickstart",
    says: "a large file is being read",
    keys: "file, rows, total_rows",
  },
  {
    event: "fit",
    by: "train, quickstart, plan",
    says: "memory plans are being compared, which takes a while",
    keys: "plans, total_plans",
  },
  ...["start", "resume", "step", "eval"].map((event) => ({
    event,
    by: "train, quickstart",
    says: "the progress of a training",
    keys: A_TRAINING,
  })),
  {
    event: "sample",
    by: "train",
    says: "a text was generated from a prompt of `--samples`",
    keys: "step, index, prompt, text, tokens",
  },
  {
    event: "plan",
    by: "plan",
    says: "the plan",
    keys: "bytes, limit_bytes, recomputes_activations, chosen, step_seconds, total_steps, command",
  },
  {
    event: "text",
    by: "generate --prompts",
    says: "a text, in the order of the prompts",
    keys: `index, line, adapter?, ${TEXT}`,
  },
  {
    event: "text",
    by: "classify",
    says: "the prediction for a text, in the order of the texts",
    keys: "line, predicted, scores?",
  },
  { event: "answer", by: "chat", says: "an answer", keys: `${TEXT}, dropped_turns` },
  {
    event: "answer",
    by: "quickstart",
    says: "a question, before and after training",
    keys: "question, before, after, reference",
  },
  {
    event: "command",
    by: "chat",
    says: "a command (a line that begins with a slash) was run",
    keys: "line, text",
  },
  {
    event: "example",
    by: "data show",
    says: "an example",
    keys: "file, line, role?, class?, tokens, trained_tokens, cut_tokens, dropped, pieces, cut_text",
  },
  {
    event: "summary",
    by: "data show",
    says: "all examples",
    keys: "examples, tokens, trained_tokens, cut_examples, cut_tokens, dropped_examples, max_length, lengths",
  },
  { event: "listening", by: "serve", says: "the server answers", keys: "url, model, adapters" },
  { event: "key", by: "keys add", says: "the key, whose hash is kept next", keys: "key" },
  { event: "stopped", by: "serve", says: "the server has ended", keys: "" },
  {
    event: "away",
    by: "serve, worker",
    says: "the store does not answer, or the database is starting: asked until it is there",
    keys: "message",
  },
  { event: "waiting", by: "worker", says: "the worker takes jobs", keys: "base, fingerprint" },
  {
    event: "job",
    by: "worker",
    says: "a job was taken, or a share of it",
    keys: "id, share, lease, from_lost",
  },
  { event: "left", by: "worker", says: "it was left", keys: "id, share, status" },
  ...Object.entries(DONE).map(([by, keys]) => ({ event: "done", by, says: "the command has ended", keys })),
];

/** Formats keys as code, and leaves other words unchanged. */
function shownKeys(keys: string): string {
  if (keys === A_TRAINING || keys === "") return keys;
  return keys
    .split(", ")
    .map((key) => (key.endsWith("?") ? `${code(key.slice(0, -1))} or none` : code(key)))
    .join(", ");
}

export function jsonLineTable(): string {
  return table(
    ["`event`", "command", "when", "its other keys"],
    JSON_LINES.map(({ event, by, says, keys }) => [code(event), by, says, shownKeys(keys)]),
  );
}
