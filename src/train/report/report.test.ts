/** @file The report of a run: what is on the page, and that nothing of a file or a user is markup in it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StartEvent } from "../events.ts";
import type { LogEntry } from "../logs/log-format.ts";
import { type RunState, firstState } from "../loop/run-state.ts";
import { totalsOf } from "../loop/step-history.ts";
import { dropBpChart } from "./dropbp-chart.ts";
import { html } from "./html.ts";
import { lineChart } from "./line-chart.ts";
import { lossChart } from "./loss-chart.ts";
import { PAGE } from "./palette.ts";
import { drawPanels } from "./panels.ts";
import type { ReportParts } from "./report-parts.ts";
import { writeReport } from "./report.ts";

const EVIL = `"><img src=x onerror=alert(1)><script>alert('1')</script>&amp;</style></svg>`;

const START: StartEvent = {
  event: "start",
  model: "owner/name",
  task: "causal-lm",
  chat_template: true,
  method: "lora",
  parameters: 1000,
  trainable_parameters: 100,
  trainable_share: 0.1,
  examples: 12,
  tokens: 3456,
  trained_tokens: 789,
  truncated_examples: 1,
  dropped_examples: 2,
  max_length: 64,
  held_out_examples: 3,
  total_steps: 3,
  steps_per_epoch: 3,
  learning_rate: 0.01,
};

function stateOf(extra: Readonly<Record<string, number>> = {}): RunState {
  const step = {
    event: "step",
    total_steps: 3,
    learning_rate: 0.01,
    grad_norm: 1,
    tokens: 100,
    tokens_per_second: 50,
  };
  const steps = [2.25, 2, 1.75].map((loss, i) => ({
    ...step,
    step: i + 1,
    loss,
    peak_mb: 10 * i + 100,
    ...extra,
  }));
  return {
    ...firstState(3, 100, {}),
    global_step: 3,
    epoch: 1,
    trained_tokens: 300,
    best_metric: 1.5,
    best_global_step: 3,
    step_totals: totalsOf(steps),
    log_history: [
      { event: "eval", step: 0, loss: 2.5, perplexity: Math.exp(2.5), tokens: 9 },
      ...steps,
      { event: "eval", step: 3, loss: 1.5, perplexity: Math.exp(1.5), tokens: 9 },
    ],
  };
}

function partsOf(changes: Partial<ReportParts> = {}): ReportParts {
  return {
    title: "lora on owner/name",
    start: START,
    state: stateOf(),
    isDone: true,
    settings: { rank: 4, targetModules: ["q_proj"] },
    inputs: [["data", "chats.jsonl, sha256 abc"]],
    environment: [["Node", "24.0.0"]],
    next: [["Try it", "npx graft chat --adapter 'my runs/a'"]],
    ...changes,
  };
}

/** Names of the tags of a page, and whether one has an attribute that runs something or loads something. */
function tagsOf(page: string): { names: string[]; bad: string[] } {
  const tags = [...page.matchAll(/<[!/]?([a-z]+)\b[^>]*>/gi)];
  return {
    names: [...new Set(tags.map(([, name]) => name!.toLowerCase()))].sort(),
    bad: tags.map(([tag]) => tag).filter((tag) => /\s(on\w+|src|href|srcset|action|data)\s*=/i.test(tag)),
  };
}

test("a run of very many steps has a report", () => {
  const state = stateOf();
  const [step] = state.log_history.filter(({ event }) => event === "step");
  const log_history = Array.from({ length: 150_000 }, (_, i) => ({ ...step, step: i + 1 }));
  assert.match(writeReport(partsOf({ state: { ...state, log_history } })), /peak of the process/);
});

test("the page tells numbers, settings, data, environment and commands", () => {
  const page = writeReport(partsOf());
  for (const text of [
    "<title>lora on owner/name</title>",
    "2.5000 → 1.5000",
    "2.2500 → 1.7500",
    "best loss 1.5000, after step 3",
    "120.0 MB",
    "6 s",
    "50.0 tokens/s",
    "100 trainable parameters, 10 %",
    "3,456, of which 789 are trained on",
    "[&quot;q_proj&quot;]",
    "chats.jsonl, sha256 abc",
    "24.0.0",
    "npx graft chat --adapter &#39;my runs/a&#39;",
    ">complete<",
  ])
    assert.ok(page.includes(text), text);
  assert.equal(page.match(/<svg /g)?.length, 1 + drawPanels(stateOf().log_history).length);
  assert.ok(writeReport(partsOf({ isDone: false })).includes(">step 3 of 3<"));
});

test("a loss that was no number is none after the run's state was read again", () => {
  const state = stateOf();
  state.log_history.at(-1)!["loss"] = null;
  const page = writeReport(partsOf({ state }));
  assert.match(page, /2\.5000 → NaN/);
  assert.doesNotMatch(page, /→ 0\.0000/);
});

test("it needs no network and runs nothing", () => {
  const page = writeReport(partsOf());
  assert.match(page, /Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/);
  const addresses = page.match(/[a-z]+:\/\/[^"' ]+/g) ?? [];
  assert.deepEqual([...new Set(addresses)].sort(), [
    "http://www.w3.org/1999/xlink",
    "http://www.w3.org/2000/svg",
  ]);
  assert.deepEqual(tagsOf(page).bad, []);
  assert.ok(!tagsOf(page).names.includes("script"));
});

test("names and texts that look like markup are text wherever they stand", () => {
  const state = stateOf({ [`${EVIL}/a`]: 1, [EVIL]: 2 });
  const evil = partsOf({
    title: EVIL,
    start: { ...START, model: EVIL, method: EVIL },
    state: {
      ...state,
      log_history: [...state.log_history, { event: "eval", step: 3, loss: 1, [EVIL]: 0.5 }],
      dropbp: {
        branches: [EVIL],
        rates: [0.5],
        sensitivities: [1],
        dropped: [1],
        passes: 4,
        steps: 3,
        skipped: 0,
      },
    },
    settings: { [EVIL]: EVIL, list: [EVIL] },
    inputs: [[EVIL, EVIL]],
    environment: [[EVIL, EVIL]],
    next: [[EVIL, EVIL]],
  });
  const page = writeReport(evil);
  const plain = writeReport(
    partsOf({
      state: { ...stateOf(), dropbp: evil.state.dropbp && { ...evil.state.dropbp, branches: ["0.mlp"] } },
    }),
  );
  assert.deepEqual(tagsOf(page), tagsOf(plain));
  assert.ok(page.split("&lt;img src=x").length > 12, "the texts are shown");
});

test("a template escapes all but templates and lists of them", () => {
  assert.equal(
    html`<b title="${`"'`}">${"<&>"}${1}${html`<i>${"<"}</i>`}${[html`<u>a</u>`, html`<u>b</u>`]}</b>`.text,
    '<b title="&quot;&#39;">&lt;&amp;&gt;1<i>&lt;</i><u>a</u><u>b</u></b>',
  );
});

test("numbers that no panel names get one of their own, together where their names begin alike", () => {
  const { log_history: history } = stateOf({ "rewards/chosen": 1, "rewards/rejected": 0, entropy: 3 });
  const titles = drawPanels([...history, { event: "eval", step: 3, accuracy: 0.5 }]).map(
    ({ title }) => title,
  );
  assert.deepEqual(titles, [
    "Learning rate",
    "Gradient norm, before clipping",
    "Speed",
    "Peak memory so far",
    "rewards",
    "entropy",
    "accuracy, held-out",
  ]);
});

test("metrics of checkpoints have the names that flags give them, in panels and in the table", () => {
  const { log_history: history } = stateOf();
  const evaluated = [...history, { event: "eval", step: 3, loss: 1, token_accuracy: 0.5, macro_f1: 0.25 }];
  const titles = drawPanels(evaluated).map(({ title }) => title);
  assert.deepEqual(titles.slice(-2), ["token-accuracy, held-out", "macro-f1, held-out"]);
  const page = writeReport(partsOf({ state: { ...stateOf(), log_history: evaluated } }));
  for (const name of ["loss", "token-accuracy", "macro-f1"])
    assert.match(page, new RegExp(`<th scope="col">${name}</th>`));
  assert.doesNotMatch(page, /token_accuracy|macro_f1/);
});

/** Draws what an evaluation of preferences and a step before it tell; returns the panel of this title. */
function panelOf(title: string, names: readonly string[]): string {
  const numbers = Object.fromEntries(names.map((name, i) => [name, i + 1]));
  const history = ["step", "eval"].map((event) => ({ event, step: 1, ...numbers }));
  const panel = drawPanels(history).find((each) => each.title === title);
  assert.ok(panel, title);
  return panel.svg;
}

test("a number has one colour and one item of the legend, in training and on held-out data", () => {
  const svg = panelOf("rewards (dots: held-out)", ["rewards/chosen", "rewards/rejected"]);
  const labels = labelsOf(svg).filter((label) => /chosen|rejected/.test(label));
  assert.deepEqual(labels, ["chosen", "rejected"]);
  assert.ok(svg.includes("var(--series-2)") && !svg.includes("var(--series-3)"));
});

test("shares of right pairs do not lie beside rewards, which have no bounds", () => {
  const names = ["rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies"];
  assert.ok(!labelsOf(panelOf("rewards (dots: held-out)", names)).includes("accuracies"));
  assert.ok(labelsOf(panelOf("Reward accuracy (dots: held-out)", names)).includes("share"));
});

test("a legend of several rows leaves room for the name of the axis", () => {
  const lines = Array.from({ length: 8 }, (_, i) => ({
    name: `a longer name ${i}`,
    points: [[1, i] as const],
    color: "red",
    width: 1,
    hasDots: false,
  }));
  const svg = lineChart({ title: null, unit: "", lines, width: 440, height: 250, palette: PAGE });
  const heightOf = (label: string): number =>
    Number(new RegExp(`translate\\([\\d.]+ ([\\d.]+)\\)"[^>]*>${label}</text>`).exec(svg)?.[1]);
  assert.ok(heightOf("a longer name 0") > heightOf("step") + 12, svg);
});

test("of two equal lines both are seen: the later one is dashed", () => {
  const { log_history: history } = stateOf({ tokens_per_second_with_pauses: 50 });
  const speed = drawPanels(history).find(({ title }) => title === "Speed")!;
  const [first, second] = [1, 2].map((i) => new RegExp(`<path[^>]*stroke="var\\(--series-${i}\\)"[^>]*>`));
  assert.doesNotMatch(first!.exec(speed.svg)![0], /dasharray/);
  assert.match(second!.exec(speed.svg)![0], /dasharray/);
});

test("a title that is too long for its picture keeps the name of the model, at its end", () => {
  const path = `/home/somebody${"/a-folder".repeat(20)}/the-model`;
  const [title] = labelsOf(lossChart(`lora on ${path}`, stateOf().log_history)).filter((label) =>
    label.includes("…"),
  );
  assert.ok(title?.startsWith("lora on ") && title.endsWith("/the-model") && title.length < 80, title);
});

test("the picture of DropBP says what it is, and names its axes", () => {
  const dropbp = { branches: ["0.mlp"], rates: [0.5], sensitivities: [2], dropped: [1], passes: 4 };
  const labels = labelsOf(dropBpChart("lora on m", { ...dropbp, steps: 3, skipped: 0 }));
  for (const label of ["DropBP, lora on m", "branch", "share", "0.mlp"])
    assert.ok(labels.includes(label), label);
});

test("memory within a budget and what went to the disk share a panel", () => {
  const { log_history: history } = stateOf({
    resident_mb: 200,
    shards_read_mb: 5,
    shards_written_mb: 3,
    evicted_mb: 4,
  });
  const last = drawPanels(history).at(-1)!;
  assert.equal(last.title, "Parameters on disk, in each step");
  for (const text of ["in memory", "read", "written", "MB"])
    assert.ok(labelsOf(last.svg).includes(text), text);
});

test("a run of few steps has no running mean, which would be the loss of each step", () => {
  const steps = (count: number): LogEntry[] => [
    { event: "eval", step: 0, loss: 3 },
    ...Array.from({ length: count }, (_, i) => ({ event: "step", step: i + 1, loss: 3 - i / 100 })),
  ];
  const [few, many] = [20, 40].map((count) => labelsOf(lossChart(null, steps(count))));
  assert.ok(few!.includes("training") && !few!.includes("running mean"));
  assert.ok(many!.includes("training") && many!.includes("running mean"));
});

/** Texts in a picture. */
function labelsOf(svg: string): string[] {
  return [...svg.matchAll(/>([^<>]+)<\/text>/g)].map(([, label]) => label!);
}

/** Draws a line of these values, a step each. */
function draw(values: readonly number[]): string {
  const points = values.map((value, i): [number, number] => [i + 1, value]);
  const line = { name: "x", points, color: "red", width: 1, hasDots: true };
  return lineChart({ title: null, unit: "", lines: [line], width: 300, height: 200, palette: PAGE });
}

test("a line of numbers that no axis has is drawn as far as it can be", () => {
  // The library fails on the first, and draws no axis for the second.
  for (const values of [[1e-30], [Infinity, 2, NaN]]) {
    const svg = draw(values);
    assert.ok(svg.length > 3000 && !/NaN|Infinity/.test(svg), `${values.join()}: ${svg.length} characters`);
  }
});

test("a single step is step 1, not half a step further than one that was not made", () => {
  const labels = [...draw([7]).matchAll(/>([^<>]+)<\/text>/g)].map(([, label]) => label);
  assert.ok(labels.includes("1") && !labels.includes("0.5"), labels.join());
});

test("points have dots where they are few", () => {
  const numDots = (numPoints: number): number =>
    draw(Array.from({ length: numPoints }, (_, i) => i)).split("<path").length;
  assert.ok(numDots(50) > numDots(2) + 40);
  assert.ok(numDots(1000) < numDots(2) + 10);
});

test("a picture is the same text whatever was drawn before it, and has no mark of another on its page", () => {
  const marksOf = (svg: string): string[] => svg.match(/(?<=class="|id="|url\(#)[^")]+/g) ?? [];
  const first = draw([1, 2, 3]);
  const other = draw([3, 1]);
  assert.equal(draw([1, 2, 3]), first);
  assert.ok(marksOf(first).length > 3, first);
  assert.ok(!marksOf(other).some((mark) => marksOf(first).includes(mark)), other);
});
