/** @file The cards that results have: training, merging and combining, and what one tells of the one before it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { combineAdapters } from "../../src/export/combined/combine.ts";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { loadModel, openCheckpoint, readAdapter } from "../../src/format/by-path.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import type { TrainEvent } from "../../src/train/events.ts";
import { buildTinyGguf, ggufValues } from "../tiny/gguf.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { lossesOf, runTiny } from "./tiny-run.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(`${folder}/model`);
writeFileSync(`${model}/README.md`, "---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n");
const data = writeTinyChats(`${folder}/chats_of|us.jsonl`, 8);
const SETTINGS = { model, data, learningRate: 0.01, schedule: "constant", seed: 1, steps: 4, dropout: 0.1 };

function cardIn(path: string): { text: string; matter: Record<string, unknown> } {
  const text = readFileSync(`${path}/README.md`, "utf8");
  const [, matter = ""] = /^---\n([\s\S]*?)\n---\n/.exec(text) ?? [];
  return { text, matter: parse(matter) as Record<string, unknown> };
}

/** Trains an adapter, and one that is stopped on the way. */
async function trained(name: string, more: Readonly<Record<string, unknown>> = {}): Promise<TrainEvent[]> {
  const { events } = await runTiny({ ...SETTINGS, ...more, output: `${folder}/${name}` });
  return events;
}

test("a run says at its start where graft alone reads what comes of it, and says nothing where peft does", async () => {
  const saying = async (method: string): Promise<boolean> => {
    const events = await trained(`read-${method}`, { method, dropout: undefined, steps: 1 });
    const notes = events.flatMap((event) => (event.event === "note" ? [event.message] : []));
    return notes.some((note) => note.startsWith(`only graft can read adapters of ${method}: graft merge `));
  };
  assert.deepEqual([await saying("snell"), await saying("lora")], [true, false]);
});

describe("the card of a run", () => {
  test("says base, licence, method, data with its hash, settings and losses", async () => {
    const events = await trained("lora", { evalData: data, evalEvery: 2 });
    const { text, matter } = cardIn(`${folder}/lora`);
    assert.deepEqual(matter, { library_name: "peft", license: "apache-2.0", tags: ["lora", "graft"] });
    const hash = createHash("sha256").update(readFileSync(data)).digest("hex");
    const losses = lossesOf(events).map((loss) => loss.toFixed(4));
    const held = events.flatMap((event) => (event.event === "eval" ? [event] : []));
    const [first, last] = [held[0], held.at(-1)].map((event) => event?.loss.toFixed(4));
    for (const row of [
      "| licence of the base | apache-2.0 |",
      "| method | lora: LoRA: Low-Rank Adaptation of Large Language Models, arXiv:2106.09685 |",
      `| data | chats\\_of\\|us.jsonl, sha256 ${hash} |`,
      `| held-out data | chats\\_of\\|us.jsonl, sha256 ${hash} |`,
      `| training loss | ${losses[0]} in step 1, ${losses[3]} in step 4 |`,
      "| seed | 1 |",
      "| learningRate | 0.01 |",
    ]) {
      assert.ok(text.includes(`${row}\n`), `${row}\n${text}`);
    }
    assert.match(text, /\| steps \| 4 of 4, 1\.00 epochs, \d+ tokens \|/);
    assert.ok(text.includes(`| held-out loss | ${first} after step 0, ${last} after step 4; lowest `));
    assert.match(text, /PeftModel\.from_pretrained/);
    // Paths of this machine are only where the base was given as one.
    assert.ok(!text.replaceAll(model, "").includes(folder));
  });

  test("of a resumed run is that of one that never stopped", async () => {
    await trained("whole");
    const controller = new AbortController();
    const settings = { ...SETTINGS, output: `${folder}/parts`, saveEvery: 1 };
    const stopped = runTiny(settings, {
      signal: controller.signal,
      onEvent: (event) => void (event.event === "step" && event.step === 2 && controller.abort()),
    });
    await assert.rejects(stopped, { code: "train/stopped" });
    assert.match(cardIn(`${folder}/parts/checkpoint-2`).text, /\| steps \| 2 of 4,/);
    await runTiny({ ...settings, resume: true });
    assert.equal(cardIn(`${folder}/parts`).text, cardIn(`${folder}/whole`).text);
  });

  test("says that graft alone reads types of our own", async () => {
    for (const method of ["bitfit", "snell", "peqa"]) {
      await trained(method, { method, rank: undefined, dropout: undefined });
      const { text, matter } = cardIn(`${folder}/${method}`);
      assert.equal(matter["library_name"], "graft");
      assert.match(
        text,
        /only graft can read this folder: PEFT does not support its settings\. .*`graft merge`/,
      );
      assert.ok(!text.includes("PeftModel"));
    }
  });

  test("says nothing of merging where what is trained cannot be merged", async () => {
    const events = await trained("residual", {
      method: "road",
      rank: undefined,
      pairs: "lower",
      targetModules: ["residual"],
      layers: [1],
      positions: "prompt-end",
      dropout: undefined,
    });
    const notes = events.flatMap((event) => (event.event === "note" ? [event.message] : []));
    const reason =
      /^only graft can read adapters of road: graft merge cannot merge an adapter on ".*": it changes the residual stream, which has no weight\.$/;
    assert.ok(
      notes.some((note) => reason.test(note)),
      notes.join("\n"),
    );
    const { text } = cardIn(`${folder}/residual`);
    assert.match(text, /PEFT does not support its settings\. It cannot be merged into its base\.\n/);
    assert.doesNotMatch(text, /graft merge/);
  });

  test("says that graft alone reads single experts of which no file has one by itself", async () => {
    const model = await writeTinyModel(`${folder}/gpt_oss`, { modelType: "gpt_oss" });
    const readers: [string, Readonly<Record<string, unknown>>][] = [
      ["graft", { targetModules: ["down_proj", "q_proj"] }],
      ["peft", { targetModules: ["q_proj"], targetParameters: ["gate_up_proj", "router.weight"] }],
    ];
    for (const [i, [reader, options]] of readers.entries()) {
      const settings = { model, method: "lora", rank: 2, dropout: undefined, steps: 1 };
      await trained(`stacks-${i}`, { ...settings, ...options });
      assert.equal(cardIn(`${folder}/stacks-${i}`).matter["library_name"], reader, JSON.stringify(options));
    }
  });

  test("says that graft alone reads what PEFT passes over on experts", async () => {
    const experts = await writeTinyModel(`${folder}/olmoe`, { modelType: "olmoe" });
    const readers: [string, Readonly<Record<string, unknown>>][] = [
      ["peft", { method: "lora", rank: 2 }],
      ["graft", { method: "lora", rank: 2, rslora: true }],
      ["graft", { method: "lora", rank: 2, loraBias: true }],
      ["graft", { method: "lora", rank: 2, dropout: 0.1 }],
      ["graft", { method: "lora", rank: 2, targetModules: ["gate_proj", "up_proj"] }],
      ["graft", { method: "lora", rank: 2, targetModules: ["down_proj", "up_proj"] }],
      ["graft", { method: "lora", rank: 2, targetModules: ["gate_proj"] }],
      ["peft", { method: "lora", rank: 2, targetModules: ["down_proj", "q_proj"] }],
      ["graft", { method: "lora", rank: 2, targetModules: ".*(experts\\.[02]\\..*|q_proj)" }],
      ["graft", { method: "lora", rank: 2, rankPattern: { gate_proj: 1, up_proj: 1 } }],
      ["graft", { method: "lora", rank: 2, alphaPattern: { "layers.0.*": 3 } }],
      ["peft", { method: "lora", rank: 2, alphaPattern: { q_proj: 3 }, targetParameters: ["down_proj"] }],
      ["graft", { method: "lora", rank: 2, targetParameters: ["gate_up_proj"] }],
      ["peft", { method: "lora", rank: 2, targetParameters: ["gate_up_proj", "down_proj", "gate.weight"] }],
      ["graft", { method: "dora", rank: 2 }],
      ["graft", { method: "ia3" }],
      ["graft", { method: "vera", rank: 4 }],
      ["graft", { method: "road" }],
      ["peft", { method: "ia3", targetModules: ["q_proj", "v_proj"], feedforwardModules: [] }],
      ["peft", { method: "lora", rank: 2, rslora: true, targetModules: ["q_proj"] }],
    ];
    for (const [i, [reader, options]] of readers.entries()) {
      const settings = { model: experts, rank: undefined, dropout: undefined, steps: 1 };
      await trained(`experts-${i}`, { ...settings, ...options });
      const { matter } = cardIn(`${folder}/experts-${i}`);
      assert.equal(matter["library_name"], reader, JSON.stringify(options));
    }
  });

  test("says that graft alone reads single experts of LFM2, of which PEFT reads the stacks alone", async () => {
    const model = await writeTinyModel(`${folder}/lfm2_moe`, { modelType: "lfm2_moe" });
    const readers: [string, Readonly<Record<string, unknown>>][] = [
      ["graft", {}],
      ["graft", { targetModules: ["w2"] }],
      ["peft", { targetModules: ["q_proj", "in_proj"], targetParameters: ["gate_up_proj", "down_proj"] }],
      ["graft", { targetModules: ["q_proj"], modulesToSave: ["feed_forward"] }],
      ["peft", { targetModules: ["q_proj"], modulesToSave: ["gate"] }],
    ];
    for (const [i, [reader, options]] of readers.entries()) {
      await trained(`lfm2-${i}`, {
        model,
        method: "lora",
        rank: 2,
        dropout: undefined,
        steps: 1,
        ...options,
      });
      const { matter } = cardIn(`${folder}/lfm2-${i}`);
      assert.equal(matter["library_name"], reader, JSON.stringify(options));
    }
  });

  test("says that graft alone reads single experts beside modules that are called as theirs are", async () => {
    const model = await writeTinyModel(`${folder}/deepseek_v2`, { modelType: "deepseek_v2" });
    const readers: [string, Readonly<Record<string, unknown>>][] = [
      ["graft", {}],
      ["graft", { targetModules: ["kv_b_proj", "down_proj"] }],
      ["peft", { targetModules: ["kv_b_proj"], targetParameters: ["gate_up_proj", "down_proj"] }],
    ];
    for (const [i, [reader, options]] of readers.entries()) {
      const settings = { model, method: "lora", rank: 2, dropout: undefined, steps: 1 };
      await trained(`deepseek-${i}`, { ...settings, ...options });
      const { matter } = cardIn(`${folder}/deepseek-${i}`);
      assert.equal(matter["library_name"], reader, JSON.stringify(options));
    }
  });

  test("says that graft alone reads LoRA where PEFT refuses it", async () => {
    const model = await writeTinyModel(`${folder}/falcon_h1`, { modelType: "falcon_h1" });
    const readers: [string, Readonly<Record<string, unknown>>][] = [
      ["graft", { method: "lora", rank: 2 }],
      ["graft", { method: "dora", rank: 2, targetModules: ["out_proj"] }],
      ["peft", { method: "lora", rank: 2, targetModules: ["in_proj", "q_proj"] }],
      ["peft", { method: "vera", rank: 4, targetModules: ["out_proj"] }],
    ];
    for (const [i, [reader, options]] of readers.entries()) {
      await trained(`falcon-${i}`, { model, rank: undefined, dropout: undefined, steps: 1, ...options });
      const { matter } = cardIn(`${folder}/falcon-${i}`);
      assert.equal(matter["library_name"], reader, JSON.stringify(options));
    }
  });

  test("says that graft alone reads what PEFT has no adapters for on routers, whatever the method", async () => {
    const models = new Map<string, string>();
    for (const modelType of ["gpt_oss", "qwen3_5_moe", "qwen2_moe", "olmoe", "granitemoe"])
      models.set(modelType, await writeTinyModel(`${folder}/routers-${modelType}`, { modelType }));
    const lora = { method: "lora", rank: 2 };
    const gates = { ...lora, targetModules: ["gate", "q_proj"] };
    const readers: [string, string, Readonly<Record<string, unknown>>][] = [
      ["gpt_oss", "graft", { ...lora, targetModules: ["router"] }],
      ["gpt_oss", "graft", { method: "road", targetModules: ["router"] }],
      ["gpt_oss", "peft", { ...lora, targetModules: ["q_proj"], targetParameters: ["router.weight"] }],
      ["granitemoe", "graft", { ...lora, targetModules: ["router"] }],
      ["qwen3_5_moe", "graft", gates],
      ["qwen3_5_moe", "peft", { ...lora, targetModules: ["shared_expert_gate"] }],
      ["qwen2_moe", "graft", gates],
      ["qwen2_moe", "graft", { ...lora, targetModules: ".*\\.experts\\.\\d+\\..*" }],
      ["olmoe", "peft", { ...gates, rslora: true }],
      ["olmoe", "graft", { ...gates, loraBias: true }],
      ["olmoe", "graft", { ...gates, dropout: 0.1 }],
      ["olmoe", "graft", { ...gates, rankPattern: { gate: 1 } }],
      ["olmoe", "peft", { ...gates, rankPattern: { q_proj: 1 } }],
      ...["dora", "vera", "ia3", "road"].map((method): (typeof readers)[number] => {
        const more = method === "ia3" ? { feedforwardModules: [] } : {};
        return ["olmoe", "graft", { method, targetModules: ["gate", "q_proj"], ...more }];
      }),
    ];
    for (const [i, [modelType, reader, options]] of readers.entries()) {
      const settings = { model: models.get(modelType), rank: undefined, dropout: undefined, steps: 1 };
      const events = await trained(`routers-${i}`, { ...settings, ...options });
      const { matter } = cardIn(`${folder}/routers-${i}`);
      assert.equal(matter["library_name"], reader, JSON.stringify([modelType, options]));
      const notes = events.flatMap((event) => (event.event === "note" ? [event.message] : []));
      const advice = notes.filter((note) =>
        /, only LoRA on the weight, without dropout and bias: use --target-parameters \w+\.weight /.test(
          note,
        ),
      );
      // Single experts have no weight of their own in transformers.
      const isOnExperts = String(options["targetModules"]).includes("experts");
      assert.equal(advice.length, reader === "graft" && !isOnExperts ? 1 : 0, notes.join("\n"));
    }
  });

  test("says that graft alone reads what tells classes where transformers has no class for it", async () => {
    const rows = ["It works.", "It broke."].map((text, i) => JSON.stringify({ text, label: `l${i}` }));
    const reviews = `${folder}/reviews.jsonl`;
    writeFileSync(reviews, rows.join("\n"));
    const cards: [string, string, string, RegExp][] = [
      ["olmo2", "lora", "peft", /import AutoModelForSequenceClassification/],
      [
        "granite",
        "lora",
        "graft",
        /transformers has no class of this family for classes and scores of texts\.\n/,
      ],
      [
        "granite",
        "full",
        "graft",
        /transformers has no class of this family for classes and scores of texts\.\n/,
      ],
      // What is written of its text part is a model of another family.
      ["qwen3_vl", "lora", "graft", /for classes and scores of texts\. For other programs, `graft merge`/],
      ["qwen3_vl", "full", "transformers", /AutoModelForSequenceClassification\.from_pretrained\("FOLDER"\)/],
    ];
    for (const [i, [modelType, method, library, usage]] of cards.entries()) {
      const model = await writeTinyModel(`${folder}/told-${i}`, { modelType });
      const options = { objective: "classification", data: reviews, rank: method === "lora" ? 2 : undefined };
      const settings = { model, method, dropout: undefined, steps: 1, batchSize: 1, ...options };
      const events = await trained(`tells-${i}`, settings);
      const { matter, text } = cardIn(`${folder}/tells-${i}`);
      assert.equal(matter["library_name"], library, `${modelType} ${method}`);
      assert.match(text, usage);
      const notes = events.flatMap((event) => (event.event === "note" ? [event.message] : []));
      const isSaid = notes.some((note) =>
        /^only graft can read such .*: transformers has no class/.test(note),
      );
      assert.equal(isSaid, library === "graft", notes.join("\n"));
    }
  });

  test("names the class that reads the base, of a model that reads images too", async () => {
    for (const modelType of ["qwen3_vl", "qwen3_5", "gemma3"]) {
      const model = await writeTinyModel(`${folder}/images-${modelType}`, { modelType });
      const loader = modelType === "gemma3" ? "AutoModelForCausalLM" : "AutoModelForImageTextToText";
      await trained(`sees-${modelType}`, { model, steps: 1, targetModules: ["q_proj"] });
      assert.match(cardIn(`${folder}/sees-${modelType}`).text, new RegExp(`base = ${loader}\\.from`));
      // Of the text part alone, as it is written.
      const whole = { model, steps: 1, method: "full", rank: undefined, dropout: undefined };
      await trained(`whole-${modelType}`, whole);
      assert.match(cardIn(`${folder}/whole-${modelType}`).text, /model = AutoModelForCausalLM\.from/);
    }
  });

  test("of a model that was trained whole is that of a model for transformers", async () => {
    const output = `${folder}/full`;
    await trained("full", { method: "full", rank: undefined, dropout: undefined });
    const { text, matter } = cardIn(output);
    assert.equal(matter["library_name"], "transformers");
    assert.deepEqual(matter["tags"], ["full", "graft"]);
    assert.match(text, /AutoModelForCausalLM\.from_pretrained/);
    // And the licence goes on to whoever takes it for a base.
    const checkpoint = await openCheckpoint(output);
    assert.equal(checkpoint.license, "apache-2.0");
    await checkpoint.close();
  });

  test("names a data set out of the hub's cache, and says of a base without a licence that it is unknown", async () => {
    const bare = await writeTinyModel(`${folder}/bare`);
    const set = `${folder}/datasets--some-owner--some_set/snapshots/abc`;
    mkdirSync(set, { recursive: true });
    cpSync(data, `${set}/train.jsonl`);
    await trained("set", { model: bare, data: set });
    const { text, matter } = cardIn(`${folder}/set`);
    assert.deepEqual(matter["datasets"], ["some-owner/some_set"]);
    assert.equal(matter["license"], "unknown");
    assert.match(text, /\| licence of the base \| unknown \|/);
    const hashOf = (bytes: string | Buffer): string => createHash("sha256").update(bytes).digest("hex");
    const hash = hashOf(`train.jsonl\0${hashOf(readFileSync(data))}\n`);
    assert.ok(text.includes(`| data | abc, sha256 ${hash} |`), text);
  });
});

test("the cards of what was merged and combined tell how their parts were made", async () => {
  const first = `${folder}/first`;
  await trained("first");
  await trained("second", { seed: 2 });
  const facts = cardIn(first).text.match(/\| (data|training loss) \| .*\n/g) as string[];
  assert.equal(facts.length, 2);

  const combined = `${folder}/combined`;
  const input = { expression: "0.5*x + 0.5*y", adapters: { x: first, y: `${folder}/second` } };
  await (await combineAdapters(input)).write(combined);
  const sum = cardIn(combined);
  assert.equal(sum.matter["license"], "apache-2.0");
  assert.equal(sum.matter["library_name"], "peft");
  assert.match(sum.text, /\| expression \| 0\.5\\\*x \+ 0\.5\\\*y \|\n\| type \| cat \|\n\| x \| first \|/);
  const [, ofFirst = ""] = /## How x was made\n([\s\S]*?)\n##/.exec(sum.text) ?? [];
  for (const fact of facts) assert.ok(ofFirst.includes(fact), fact);

  const { base, checkpoint } = await loadModel(model);
  const { adapter } = await readAdapter(first, base);
  const output = `${folder}/merged`;
  const request = { engine: createEngine({ threads: 1 }), base, checkpoint, adapter, adapterPath: first };
  await writeMergedModel({ ...request, path: output, to: "hf", kind: null });
  await writeMergedModel({ ...request, path: `${folder}/merged.gguf`, to: "gguf", kind: null });
  const file = await openCheckpoint(`${folder}/merged.gguf`);
  assert.equal(file.license, "apache-2.0");
  await file.close();
  await checkpoint.close();
  const merged = cardIn(output);
  assert.deepEqual(merged.matter["tags"], ["lora", "merge", "graft"]);
  assert.equal(merged.matter["license"], "apache-2.0");
  for (const fact of facts) assert.ok(merged.text.includes(fact), fact);

  const { expression, ...others } = input;
  await trained("third", { method: "full", rank: undefined, dropout: undefined });
  const models = { ...others, expression, adapters: { x: `${folder}/third`, y: output } };
  await (await combineAdapters(models)).write(`${folder}/models`);
  assert.equal(cardIn(`${folder}/models`).matter["library_name"], "transformers");
  assert.match(cardIn(`${folder}/models`).text, /## How y was made\n\n.*\n.*\n\| base model \| /);
});

test("the licence of a GGUF file is that of its settings", async () => {
  for (const [settings, expected] of [
    [{}, null],
    [{ "general.license": "apache-2.0" }, "apache-2.0"],
  ] as const) {
    const path = `${folder}/${Object.keys(settings).length}.gguf`;
    writeFileSync(path, buildTinyGguf(ggufValues(settings)));
    const checkpoint = await openCheckpoint(path);
    assert.equal(checkpoint.license, expected);
    await checkpoint.close();
  }
});
