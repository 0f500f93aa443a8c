/**
 * @file Writes adapter folders with graft, loads them with peft, and compares the logits.
 *
 *   npm run check:peers        prints a table; status 1 when a folder does not load, peft warns, or logits differ
 *
 * Needs the Python of `npx graft bench setup`, or GRAFT_PEERS_PYTHON; therefore it is not part of `npm run check`.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { peersPython, pythonVersions, runPeer } from "../harness/peers.ts";
import { formatTable } from "../harness/report.ts";
import { GraftError } from "../../src/errors.ts";
import { loadModel } from "../../src/format/by-path.ts";
import type { Model } from "../../src/models/model.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { findMethod } from "../../src/peft/methods.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { attachTo, batchFromRows, logitsOf, perturb } from "../../test/passes/model-passes.ts";
import { writeTinyModel } from "../../test/tiny/model.ts";
import { PEER_CASES, PEER_MODELS, type PeerCase } from "./peer-cases.ts";
import { saveAdapter } from "../../test/files/save-adapter.ts";

/** Largest difference of two logits: float32 in two programs, logits of size 1 to 10. */
const TOLERANCE = 1e-4;
/** Warnings about later uses of the adapter, which do not depend on its folder. */
const NOT_OF_THE_FOLDER = [/tied layer is part of the adapter, but `ensure_weight_tying` is not set/];
/** Smallest change of logits by an adapter: less would hide that it is not read at all. */
const LEAST_EFFECT = 100 * TOLERANCE;
/** Deviation by which parameters are moved from their start values. */
const DEVIATION = 0.1;
const NUM_ROWS = 2;
const NUM_TOKENS = 12;

/** The Python script's answer for a case: an error, or the other fields. */
interface PeerAnswer {
  readonly name: string;
  readonly error?: string;
  readonly difference?: number;
  /** Size of the largest logit. */
  readonly largest?: number;
  /** Tensors of the file that peft does not use. */
  readonly unused?: readonly string[];
  readonly warnings?: readonly string[];
}

/** Describes the problems of an answer, a sentence each. */
export function problemsOf(answer: PeerAnswer | undefined): string[] {
  if (answer === undefined) return ["peft gave no answer"];
  if (answer.error !== undefined) return [`peft does not load it: ${answer.error}`];
  const { difference = NaN, unused = [], warnings = [] } = answer;
  return [
    // Not written with `>`, since NaN is a difference too.
    ...(difference <= TOLERANCE ? [] : [`logits differ by ${difference}, expected at most ${TOLERANCE}`]),
    ...(unused.length > 0 ? [`peft does not read ${unused.join(", ")}`] : []),
    ...warnings
      .filter((warning) => !NOT_OF_THE_FOLDER.some((known) => known.test(warning)))
      .map((warning) => `peft warns: ${warning}`),
  ];
}

interface Written {
  readonly name: string;
  readonly model: string;
  readonly adapter: string | null;
  readonly logits: string;
}

function writeLogits(path: string, logits: Float32Array): string {
  writeFileSync(path, new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength));
  return path;
}

/** The logits of the positions for classes, if the model has classes; else of all positions. */
function ofClasses({ classPosition, numOutputs }: Model, logits: Float32Array): Float32Array {
  if (classPosition === null) return logits;
  const rows = Array.from({ length: NUM_ROWS }, (_, row) => {
    const from = (row * NUM_TOKENS + (classPosition === "first" ? 0 : NUM_TOKENS - 1)) * numOutputs;
    return [...logits.subarray(from, from + numOutputs)];
  });
  return Float32Array.from(rows.flat());
}

/** Writes the models, the adapter folders of the cases and graft's logits of each into a folder. */
async function writeCases(
  engine: Engine,
  folder: string,
  cases: readonly PeerCase[],
  ids: readonly (readonly number[])[],
): Promise<Written[]> {
  const batch = batchFromRows({ input_ids: ids });
  const written: Written[] = [];
  for (const [name, options] of Object.entries(PEER_MODELS)) {
    const own = cases.filter((one) => one.model === name);
    if (own.length === 0) continue;
    const model = await writeTinyModel(join(folder, name), options);
    const { base, checkpoint } = await loadModel(model);
    const logitsBy = async (adapter: Adapter | null): Promise<Float32Array> =>
      ofClasses(base.model, await logitsOf(engine, base, adapter, batch));
    const alone = await logitsBy(null);
    written.push({
      name: `no adapter, ${name}`,
      model,
      adapter: null,
      logits: writeLogits(`${model}.f32`, alone),
    });
    for (const { name: caseName, method, options, modules } of own) {
      const adapter = await attachTo(base, findMethod(method), options, modules);
      perturb(adapter, DEVIATION);
      const path = join(folder, "adapters", String(written.length));
      mkdirSync(join(folder, "adapters"), { recursive: true });
      await saveAdapter(path, adapter, { base, checkpoint });
      const logits = await logitsBy(adapter);
      if (logits.every((value, i) => Math.abs(value - alone[i]!) < LEAST_EFFECT)) {
        throw new Error(`Cannot check "${caseName}": the adapter has no effect on the logits`);
      }
      written.push({ name: caseName, model, adapter: path, logits: writeLogits(`${path}.f32`, logits) });
    }
    await checkpoint.close();
  }
  return written;
}

/** Loads the folders of all cases with peft. Returns a table and whether there are no problems; `say` gets progress. */
export async function checkPeers(
  cases: readonly PeerCase[],
  say: (line: string) => void,
): Promise<{ table: string; isEqual: boolean }> {
  const folder = mkdtempSync(join(tmpdir(), "graft-peers-"));
  try {
    const ids = Array.from({ length: NUM_ROWS }, (_, row) =>
      Array.from({ length: NUM_TOKENS }, (_, i) => (31 * i + 97 * row + 7) % 256),
    );
    const written = await writeCases(createEngine({ threads: 1 }), folder, cases, ids);
    say(`wrote ${written.length} cases; peft loads them`);
    const task = join(folder, "task.json");
    writeFileSync(task, JSON.stringify({ ids, cases: written }));
    const { events } = await runPeer("adapter_logits.py", [task]);
    const answers = new Map(events.map(({ value }) => [value["name"], value as unknown as PeerAnswer]));
    const results = written.map(({ name }) => ({
      name,
      answer: answers.get(name),
      problems: problemsOf(answers.get(name)),
    }));
    const rows = results.map(({ name, answer, problems }) => [
      name,
      answer?.largest?.toFixed(1) ?? "",
      answer?.difference?.toExponential(1) ?? "",
      problems.length === 0 ? "equal" : "DIFFERS",
    ]);
    const table = formatTable({ head: ["adapter", "largest logit", "difference", "result"], rows });
    const list = results.flatMap(({ name, problems }) => problems.map((problem) => `${name}: ${problem}`));
    return { table: [table, ...list].join("\n"), isEqual: list.length === 0 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The versions of the Python side. @throws Error that tells how to install peft */
async function requirePeft(): Promise<Record<string, string>> {
  const python = peersPython();
  try {
    return await pythonVersions();
  } catch (cause) {
    throw new Error(
      `Cannot check with peft: ${python} does not import torch, transformers and peft; ` +
        "run `npx graft bench setup`, or set GRAFT_PEERS_PYTHON to a Python that has them",
      { cause },
    );
  }
}

if (import.meta.main) {
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  try {
    const { peft, torch, transformers } = await requirePeft();
    say(`peft ${peft}, torch ${torch}, transformers ${transformers}`);
    const { table, isEqual } = await checkPeers(PEER_CASES, say);
    process.stdout.write(`${table}\n`);
    process.exitCode = isEqual ? 0 : 1;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    if (error instanceof GraftError && error.hint !== null) say(`hint: ${error.hint}`);
    process.exitCode = 1;
  }
}
