/** @file What the benchmarks stand on: flags, statistics, child processes, the list of products, the report. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as nextTurn, setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";

import { readPeakMb, runChild } from "./harness/child.ts";
import { reportCoServing, speedAgainst } from "./serving/co-serving-report.ts";
import { commonPrefix } from "./decode.bench.ts";
import { helpText, parseFlags } from "./harness/flags.ts";
import { interleave } from "./harness/interleave.ts";
import { labelsPerStep, meanLoss } from "./training/label-counts.ts";
import { ROOT, whyNotKept } from "./harness/machine.ts";
import { longestWithin } from "./longest.bench.ts";
import { listBenchmarks, listLines, loadBenchmark, resultPath } from "./main.ts";
import { largestPeak, peakRatio } from "./harness/memory.ts";
import { peersPython } from "./harness/peers.ts";
import { productFlop, stepProducts } from "./training/products.ts";
import { formatTable, reportOf } from "./harness/report.ts";
import type { Progress } from "./serving/served-training.ts";
import { intervalOf, largestDifference, median, ratioOf, showRatio } from "./harness/statistics.ts";
import { madePrompt } from "./serving/made-prompt.ts";
import { type WrittenText, arrivalsOf, oneAdapterAtATime } from "./serving/text-load.ts";
import { steadySeconds, summarize } from "./training/training-sides.ts";
import { ownStart } from "../test/process/own-start.ts";
import { waitFor } from "../test/process/wait-for.ts";
import { temporaryFolder } from "../test/tiny/model.ts";
import { makeExample } from "../src/data/examples/example.ts";
import type { ServingEngine } from "../src/engine/serving/serving-engine.ts";
import { openModel } from "../src/models/families.ts";

const silent = { say: (): void => {} };

test("every benchmark asks a question and explains its flags, and has a row in docs/benchmarks.md", async () => {
  const names = listBenchmarks();
  const docs = readFileSync(join(ROOT, "docs/benchmarks.md"), "utf8");
  const listed = [...docs.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name!);
  assert.deepEqual(listed.sort(), names);
  for (const name of names) {
    const { question, flags } = await loadBenchmark(name);
    assert.match(question, /^[A-Z].*\?$/, name);
    for (const [flag, { help }] of Object.entries(flags)) assert.ok(help.length > 3, `${name} --${flag}`);
  }
});

test("the list of benchmarks fits a terminal", async () => {
  const lines = await listLines(80);
  for (const name of listBenchmarks())
    assert.ok(
      lines.some((line) => line.startsWith(`  ${name} `)),
      name,
    );
  for (const line of lines) assert.ok(line.length <= 80, line);
});

test("loadBenchmark() names the nearest benchmark for a mistyped name", async () => {
  await assert.rejects(loadBenchmark("train-stpe"), {
    code: "usage/flag",
    hint: 'Did you mean "train-step"?',
  });
});

test("parseFlags() gives each flag the kind of its default", () => {
  const flags = {
    steps: { value: 8, help: "steps" },
    data: { value: "", help: "file" },
    quick: { value: false, help: "short" },
  };
  const words = ["--steps", "3", "--quick", "--save", "x", "--json"];
  const { values, save, json, help } = parseFlags(words, flags);
  assert.deepEqual(values, { steps: 3, data: "", quick: true });
  assert.equal(save, "x");
  assert.equal(json, true);
  assert.equal(help, false);
  assert.throws(() => parseFlags(["--steps", "many"], flags), {
    code: "usage/flag",
    message: /"--steps": many/,
  });
  const renamed = { "max-length": { value: 64, help: "tokens" } };
  assert.throws(() => parseFlags(["--length=3"], renamed), { hint: /^--length is now --max-length\. Known/ });
  assert.throws(() => parseFlags(["--step", "3"], flags), { code: "usage/flag", hint: /--steps --data/ });
  assert.match(helpText(flags), /--steps +steps \(8\)/);
});

test("median() takes the middle, or the mean of the two middle ones", () => {
  assert.equal(median([5, 1, 3]), 3);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.throws(() => median([]), RangeError);
});

test("ratioOf() divides round by round", () => {
  // The second round was twice as slow for both sides: the ratio does not show it.
  assert.deepEqual(ratioOf([2, 4], [1, 2]), { median: 2, lowest: 2, highest: 2 });
  assert.equal(showRatio(ratioOf([2, 3], [1, 2])), "1.75× (1.50–2.00)");
  assert.throws(() => ratioOf([1], [1, 2]), RangeError);
});

test("largestDifference() compares lists of equal length", () => {
  assert.equal(largestDifference([1, 2, 3], [1, 2.5, 3.25]), 0.5);
  assert.throws(() => largestDifference([1], [1, 2]), RangeError);
});

test("interleave() runs the sides in turn, never two at a time", async () => {
  const order: string[] = [];
  const side = (name: string) => async (round: number) => {
    order.push(`${name}${round}`);
    await Promise.resolve();
    order.push(`end of ${name}${round}`);
    return round * 10;
  };
  const results = await interleave(2, { a: side("a"), b: side("b") }, silent);
  assert.deepEqual(
    order.filter((entry) => !entry.startsWith("end")),
    ["a0", "b0", "a1", "b1"],
  );
  assert.ok(order.every((entry, i) => entry.startsWith("end") || order[i + 1] === `end of ${entry}`));
  assert.deepEqual(results, { a: [0, 10], b: [0, 10] });
});

test("runChild() keeps JSON objects with their times, and the peak of memory", async () => {
  const folder = temporaryFolder();
  const [holds, mayEnd] = [join(folder, "holds"), join(folder, "may-end")];
  // Holds 200 MB until the gauge must have seen them, or the test is gone.
  const script = `
    const { existsSync, writeFileSync } = require("node:fs");
    console.log("no JSON"); console.log('{"n":1}');
    const held = Buffer.alloc(200e6, 1);
    writeFileSync(${JSON.stringify(holds)}, "");
    const { ppid } = process;
    const waiting = setInterval(() => {
      if (process.ppid !== ppid) process.exit(1);
      if (!existsSync(${JSON.stringify(mayEnd)})) return;
      clearInterval(waiting);
      console.log(JSON.stringify({ n: held[7] + 1 }));
    }, 5);`;
  const running = runChild(process.execPath, ["-e", script]);
  await waitFor(() => existsSync(holds));
  // The first line is read in the turn that ends here.
  await nextTurn();
  await nextTurn();
  await wait(150);
  writeFileSync(mayEnd, "");
  const run = await running;
  assert.deepEqual(
    run.events.map(({ value }) => value["n"]),
    [1, 2],
  );
  const [first, second] = run.events;
  assert.ok((second?.atMs ?? 0) - (first?.atMs ?? 0) > 100);
  assert.ok(run.wallMs >= (second?.atMs ?? 0));
  if (readPeakMb(process.pid) === null) assert.equal(run.peakMb, null);
  else assert.ok((run.peakMb ?? 0) > 190, `peak ${run.peakMb}`);
});

test("runChild() gives a child nothing of what graft's program sets for itself", async () => {
  const names = Object.keys(ownStart().env);
  assert.deepEqual(names.toSorted(), ["GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_"]);
  const before = names.map((name) => process.env[name]);
  for (const name of names) process.env[name] = "";
  try {
    const run = await runChild(process.execPath, ["-e", "console.log(JSON.stringify(process.env))"], {
      environment: { GRAFT_TEST: "given" },
    });
    const told = run.events[0]?.value ?? {};
    assert.equal(told["GRAFT_TEST"], "given");
    assert.equal(told["PATH"], process.env["PATH"]);
    for (const name of names) assert.equal(name in told, false, name);
  } finally {
    for (const [i, name] of names.entries()) {
      if (before[i] === undefined) delete process.env[name];
      else process.env[name] = before[i];
    }
  }
});

test("runChild() tells how a child failed", async () => {
  const script = 'console.error("out of luck"); process.exit(3)';
  await assert.rejects(runChild(process.execPath, ["-e", script]), /ended with 3, expected 0\nout of luck/);
});

test("runChild() ends a child that takes too long", async () => {
  const running = runChild(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { limitMs: 200 });
  await assert.rejects(running, /ended with SIGKILL/);
});

test("summarize() measures steps by the outer stopwatch, and steadySeconds() leaves the first two out", () => {
  const step = (atMs: number, loss: number): { atMs: number; value: Record<string, unknown> } => ({
    atMs,
    value: { event: "step", loss, tokens: 10 },
  });
  const events = [
    { atMs: 1, value: { event: "note" } },
    step(5000, 3),
    step(6000, 2),
    step(8000, 1.5),
    step(9500, 1),
  ];
  const run = summarize({ events, wallMs: 9900, peakMb: 7 }, 2.5);
  assert.deepEqual(run.stepSeconds, [2.5, 1, 2, 1.5]);
  assert.deepEqual(run.losses, [3, 2, 1.5, 1]);
  assert.equal(run.firstStepMs, 5000);
  assert.deepEqual(steadySeconds(run), [2, 1.5]);
  assert.throws(() => summarize({ events: [], wallMs: 1, peakMb: null }, 1), /no step event/);
});

test("stepProducts() counts the products that a step with frozen weights cannot do without", () => {
  const raw = {
    model_type: "llama",
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 20,
    rms_norm_eps: 1e-5,
    max_position_embeddings: 64,
    tie_word_embeddings: true,
    hidden_act: "silu",
  };
  const [B, T, L] = [2, 5, 3];
  const products = stepProducts(openModel(raw), B, T);
  const flop = products.reduce((sum, product) => sum + product.timesPerStep * productFlop(product), 0);
  const weights = 8 * 8 + 2 * (8 * 4) + 8 * 8 + 3 * (8 * 12); // q; k and v; o; gate, up and down
  const projections = L * 2 * (2 * B * T * weights); // forward and dX
  const attention = L * 6 * (2 * B * 4 * T * T * 2); // six products of [T, T] by width 2 for each of four heads
  const head = 2 * (2 * B * (T - 1) * 20 * 8);
  assert.ok(Math.abs(flop - (projections + attention + head)) < 1e-6);
});

test("labelsPerStep() follows the rows of each step, packed or not", () => {
  // Lengths 3, 4, 2 and 5; the first token of each predicts nothing.
  const examples = [3, 4, 2, 5].map((length, line) =>
    makeExample(
      Array.from({ length }, () => 1),
      () => true,
      { file: "x", line },
    ),
  );
  assert.deepEqual(labelsPerStep(examples, 2, false, 8), [5, 5]);
  const packed = labelsPerStep(examples, 1, true, 7);
  assert.equal(packed.length, 2);
  assert.equal(
    packed.reduce((sum, count) => sum + count, 0),
    10,
  );
});

test("meanLoss() weighs steps by their labels", () => {
  assert.equal(meanLoss([1, 4], [30, 10]), 1.75);
  assert.throws(() => meanLoss([1], [1, 2]), RangeError);
});

test("peaks count only where the system tells them", () => {
  assert.equal(largestPeak([{ peakMb: 10.2 }, { peakMb: 30.6 }]), 31);
  assert.equal(largestPeak([{ peakMb: null }]), null);
  assert.equal(peakRatio(10, 40), 0.25);
  assert.equal(peakRatio(null, 40), null);
});

test("commonPrefix() counts the ids before the first difference", () => {
  assert.equal(commonPrefix([1, 2, 3], [1, 2, 4]), 2);
  assert.equal(commonPrefix([1, 2], [1, 2, 4]), 2);
});

test("peersPython() prefers GRAFT_PEERS_PYTHON, and without any says what to do", () => {
  assert.equal(peersPython({ GRAFT_PEERS_PYTHON: "/opt/python" }, "/nowhere"), "/opt/python");
  assert.equal(peersPython({}, process.execPath), process.execPath);
  assert.throws(() => peersPython({}, "/nowhere/python"), {
    code: "usage/flag",
    message: `Cannot find the peers' Python "/nowhere/python": no such file`,
    hint: /npx graft bench setup.*GRAFT_PEERS_PYTHON/,
  });
});

test("runChild() says of a program that is not there that it cannot be started", async () => {
  await assert.rejects(runChild("/nowhere/python", []), {
    code: "usage/flag",
    message: 'Cannot start "/nowhere/python": no such file',
  });
});

test("formatTable() sets columns side by side", () => {
  const table = {
    head: ["side", "s"],
    rows: [
      ["graft", "1.5"],
      ["b", "12.25"],
    ],
  };
  assert.equal(formatTable(table), "side       s\ngraft    1.5\nb      12.25");
});

test("whyNotKept() lets only results of a commit pass, and times only of a machine that does nothing else", () => {
  assert.equal(whyNotKept({ dirty: false }, 0.05, false), null);
  assert.match(
    whyNotKept({ dirty: false }, 0.4, false) ?? "",
    /use 40 % of the processors, expected at most 10 %/,
  );
  assert.equal(whyNotKept({ dirty: false }, 0.4, true), null);
  for (const dirty of [true, null]) assert.match(whyNotKept({ dirty }, 0, true) ?? "", /clean checkout/);
});

test("reportOf() says where the numbers come from", () => {
  const outcome = {
    parameters: { steps: 3 },
    versions: { torch: "9.9" },
    table: { head: [], rows: [] },
    results: { ratio: 2 },
  };
  const report = JSON.parse(JSON.stringify(reportOf("x", outcome, new Date(0), 0.25))) as Record<
    string,
    unknown
  >;
  assert.deepEqual(Object.keys(report), [
    "benchmark",
    "date",
    "commit",
    "dirty",
    "machine",
    "versions",
    "parameters",
    "results",
  ]);
  const versions = report["versions"] as Record<string, string>;
  assert.equal(versions["node"], process.versions.node);
  assert.match(versions["onnxruntime"] ?? "", /^\d+\.\d+/);
  assert.equal(versions["torch"], "9.9");
  const machine = report["machine"] as Record<string, unknown>;
  assert.equal(machine["busy_before"], 0.25);
  assert.ok(Number(machine["cores"]) >= 1);
});

test("resultPath() puts bare names into bench/results/", () => {
  assert.equal(resultPath("quiet"), join(ROOT, "bench", "results", "quiet.json"));
  assert.equal(resultPath("./quiet"), "./quiet");
});

test("npx graft bench lists the benchmarks, and an unknown flag or operation ends with status 2", async () => {
  const graft = [join(ROOT, "src", "cli", "main.ts"), "bench"];
  const { stdout } = await promisify(execFile)(process.execPath, graft);
  assert.match(stdout, /^ {2}train-step +How fast/m);
  await assert.rejects(promisify(execFile)(process.execPath, [...graft, "decode", "--fast"]), { code: 2 });
  await assert.rejects(promisify(execFile)(process.execPath, [...graft, "ops", "--only", "mattmul"]), {
    code: 2,
    stderr: /Did you mean "matmul"\?/,
  });
  const told = await promisify(execFile)(process.execPath, [...graft, "--json"]);
  assert.equal((JSON.parse(told.stdout) as { event: string }).event, "help");
  await assert.rejects(promisify(execFile)(process.execPath, [...graft, "adaptors", "--json"]), {
    code: 2,
    stdout: /^\{"event":"error","code":"usage\/flag",.*\}\n$/,
  });
});

test("intervalOf() gives Student's interval of a mean", () => {
  const { mean, low, high } = intervalOf([1, 2, 3, 4, 5]);
  assert.equal(mean, 3);
  assert.ok(Math.abs(high - 4.9629) < 1e-3 && Math.abs(low - 1.0371) < 1e-3, `${low} to ${high}`);
  assert.equal(intervalOf([2]).high, Infinity);
  assert.throws(() => intervalOf([]), RangeError);
});

test("longestWithin() finds the longest multiple whose peak fits, in few tries", async () => {
  for (const [perToken, expected] of [
    [1, 832],
    [3, 256],
    [0.01, 4096],
  ] as const) {
    const tried: number[] = [];
    const peakOf = async (length: number): Promise<number> => {
      tried.push(length);
      return 100 + perToken * length;
    };
    const { length, peakMb } = await longestWithin(960, { grain: 64, most: 4096 }, peakOf);
    assert.equal(length, expected);
    assert.equal(peakMb, 100 + perToken * expected);
    assert.ok(tried.length < 12 && new Set(tried).size === tried.length, String(tried));
  }
  await assert.rejects(
    longestWithin(10, { grain: 64, most: 4096 }, async () => 11),
    /larger --budget/,
  );
});

test("of texts that wait for one adapter, one that fails leaves none of the others waiting", async () => {
  const end = { queueMs: 0, firstTokenMs: 1, totalMs: 2, numNewTokens: 2 };
  const write = ({ promptIds }: { readonly promptIds: readonly number[] }) => ({
    next: async () => {
      if (promptIds[0] === madePrompt(0, 1, 300)[0]) throw new Error("of one text");
      return { done: true, value: end };
    },
  });
  const engine = { session: { model: { numOutputs: 300 } }, write } as unknown as ServingEngine;
  const load = { pattern: "stable", perSecond: 1, prompt: 1, tokens: 1, adapters: ["one", "two"] };
  const serve = oneAdapterAtATime(engine, load, Promise.resolve());
  const texts = await Promise.allSettled([0, 1, 2].map((index) => serve(index, performance.now())));
  assert.deepEqual(
    texts.map(({ status }) => status),
    ["rejected", "fulfilled", "fulfilled"],
  );
});

test("arrivalsOf() has texts come as Loquetier's loads do", () => {
  const load = { pattern: "stable", perSecond: 1, prompt: 1, tokens: 1, adapters: ["one", "two"] };
  const gaps = arrivalsOf(load, 100).map((ms, i, all) => ms - (all[i - 1] ?? 0));
  assert.ok(gaps.every((ms) => ms >= 800 && ms <= 1200) && gaps.length > 90, `${gaps.length}`);
  const scalable = arrivalsOf({ ...load, pattern: "scalable" }, 420);
  const ends = [0, 120, 180, 300, 420];
  const counts = ends.slice(1).map((end, phase) => {
    return scalable.filter((ms) => ms >= 1000 * ends[phase]! && ms < 1000 * end).length;
  });
  for (const [phase, count] of [120, 150, 240, 120].entries())
    assert.ok(Math.abs(counts[phase]! - count) < 0.05 * count, counts.join(" "));
  assert.deepEqual(arrivalsOf({ ...load, pattern: "bursts" }, 17), [
    ...Array<number>(8).fill(8000),
    ...Array<number>(8).fill(16_000),
  ]);
});

test("reportCoServing() compares equal steps, and says where no text of the other side was in time", () => {
  const targets = { queueMs: 100, firstTokenMs: 1000, tokenMs: 250 };
  const texts = (...waits: number[]): WrittenText[] =>
    waits.map((waitMs) => ({ waitMs, firstTokenMs: waitMs + 50, tokenMs: 20 }));
  const progress = (...stepMs: number[]): Progress => ({ stepMs, blockMs: [10] });
  const alone = [progress(100, 300, 500), progress(100, 300)];
  const rows = [
    { name: "slack", rate: 1, progress: progress(125, 375), texts: texts(5, 6, 7, 8) },
    { name: "slack", rate: 2, progress: progress(200), texts: texts(5, 6, 7, 800) },
    { name: "late", rate: 1, progress: progress(100), texts: texts(900, 800, 700, 600) },
    { name: "mostly late", rate: 1, progress: null, texts: texts(900, 800, 700, 60) },
  ];
  const { table, results } = reportCoServing(rows, alone, targets, ["late", "mostly late"]);
  const shown = table.rows.map((row) => row.slice(0, 6));
  assert.deepEqual(shown, [
    ["slack", "1", "0.8×", "4 of 4", "≥ 4.0×", "4.0×"],
    ["slack", "2", "0.5×", "3 of 4", "", ""],
    ["late", "1", "1×", "0 of 4", "", ""],
    ["mostly late", "1", "", "1 of 4", "", ""],
    ["most texts with 0.8× and all in time", "1", "", "", "", ""],
  ]);
  assert.equal(results["largest_rate"], 1);
  assert.equal(speedAgainst(progress(), alone), 0);
});
