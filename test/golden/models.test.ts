/** @file Tiny models of every family against transformers: logits, loss, the gradient of every parameter, greedy ids. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { after, describe, test } from "node:test";
import type { BaseModel } from "../../src/models/base/base-model.ts";
import { transposed } from "../../src/linalg/transposed.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import {
  type GoldenBatch,
  assertLogits,
  assertNear,
  assertRelative,
  goldenJson,
  goldenPath,
  goldenTensors,
} from "./golden-files.ts";
import {
  type ClassBatch,
  type ClassLabel,
  type GoldenModel,
  openGoldenModel,
  readGoldenConfig,
} from "./golden-model.ts";
import { sharePrograms } from "../passes/shared-programs.ts";

/** Gradients that are zero but for rounding: the softmax takes out what a bias of the keys adds. */
const VANISHING =
  /(attention\.self\.key|attention\.k_lin|decoder\..*k_proj|pos_key_proj|attention\.attn\.k)\.bias$/;

interface ModelGolden {
  readonly kind: "model";
  readonly batch: GoldenBatch;
  readonly loss: number;
  readonly generate: { readonly prompt: readonly number[]; readonly new_ids: readonly number[] };
}

interface ClassifierGolden {
  readonly kind: "classifier";
  readonly batch: ClassBatch;
  readonly labels: readonly ClassLabel[];
  readonly loss: number;
}

const engine = sharePrograms(createEngine({ threads: 1 }));
const NAMES = readdirSync(goldenPath("models")).filter((name) =>
  existsSync(goldenPath("models", name, "golden.json")),
);

for (const name of NAMES) {
  describe(`model ${name}`, async () => {
    const golden = goldenJson<ModelGolden | ClassifierGolden>("models", name, "golden.json");
    const tensors = await goldenTensors("models", name, "golden.safetensors");
    const tensor = (key: string): Float32Array => tensors.get(key)!;
    // Opened by the first test that needs it: a family that is not known fails tests, not the file.
    let opened: Promise<GoldenModel> | null = null;
    const open = (): Promise<GoldenModel> => (opened ??= openGoldenModel(engine, name));
    after(async () => (await opened?.catch(() => null))?.checkpoint.close());

    if (golden.kind === "classifier") {
      test("its logits of the classes are those of transformers", async () => {
        const logits = await (await open()).classLogits(golden.batch);
        const isRow = [golden.labels.map(() => 1)];
        assertLogits(logits, tensor("logits"), isRow, 5e-5);
      });

      test("its loss and every gradient are those of transformers", async () => {
        const { loss, gradients } = await (await open()).classLossAndGradients(golden.batch, golden.labels);
        assertNear(loss, golden.loss, 5e-6, "loss");
        assertGradients(gradients, tensors);
      });
      return;
    }

    test("its logits are those of transformers", async () => {
      const logits = await (await open()).logits(golden.batch);
      assertLogits(logits, tensor("logits"), golden.batch.attention_mask, 5e-5);
    });

    for (const recompute of [false, "all-but-attention", true] as const) {
      test(`its loss and every gradient are those of transformers, activations computed again: ${recompute}`, async () => {
        const { loss, gradients } = await (await open()).lossAndGradients(golden.batch, { recompute });
        assertNear(loss, golden.loss, 5e-6, "loss");
        assertGradients(withOwnStacks(gradients, (await open()).base, tensors), tensors);
      });
    }

    test("it writes greedily what transformers writes, from the same logits", async () => {
      const { prompt, new_ids: expected } = golden.generate;
      const { ids, logits } = await (await open()).greedy(prompt, expected.length);
      assert.deepEqual(ids, expected);
      assertLogits(logits, tensor("generate.logits"), [expected.map(() => 1)], 5e-5);
    });

    test("config.json of transformers 4 means the same", () => {
      assert.deepEqual(readGoldenConfig(name, "config.v4.json"), readGoldenConfig(name, "config.json"));
    });
  });
}

/** Asserts that there is a gradient for each of transformers', and no other, and that they agree. */
function assertGradients(
  gradients: ReadonlyMap<string, Float32Array>,
  golden: ReadonlyMap<string, Float32Array>,
): void {
  const own = withJoinedExperts(gradients);
  const expected = [...golden].filter(([key]) => key.startsWith("grad."));
  assert.deepEqual([...own.keys()].sort(), expected.map(([key]) => key.slice("grad.".length)).sort());
  for (const [key, gradient] of expected) {
    const found = own.get(key.slice("grad.".length))!;
    if (VANISHING.test(key)) {
      assert.ok(
        found.every((value) => Math.abs(value) < 1e-6),
        `${key} is expected to be zero`,
      );
      continue;
    }
    assertRelative(found, gradient, 1e-4, key);
  }
}

/** Matrices and biases of single experts as the stacks of their files, where transformers' class has these. */
function withOwnStacks(
  gradients: ReadonlyMap<string, Float32Array>,
  { model }: BaseModel,
  golden: ReadonlyMap<string, Float32Array>,
): ReadonlyMap<string, Float32Array> {
  const own = new Map<string, Float32Array>();
  for (const [key, gradient] of gradients) {
    const { name, stack } = model.checkpoint.inFolder(key);
    if (stack === null || !golden.has(`grad.${name}`)) {
      own.set(key, gradient);
      continue;
    }
    const [numRows = 0, numColumns = 0] = model.tensors.get(key)?.shape ?? [];
    const part = stack.isTurned ? transposed(gradient, numRows, numColumns) : gradient;
    own.set(name, Float32Array.of(...(own.get(name) ?? []), ...part));
  }
  return own;
}

/** Matrices of single experts, as checkpoints have them, as the stacks that transformers computes with. */
function withJoinedExperts(gradients: ReadonlyMap<string, Float32Array>): Map<string, Float32Array> {
  const whole = new Map<string, Float32Array>();
  const stacks = new Map<string, Float32Array[]>();
  for (const [key, gradient] of gradients) {
    const [, prefix, expert, matrix] = /^(.*\.experts\.)(\d+)\.(\w+)\.weight$/.exec(key) ?? [];
    if (prefix === undefined) {
      whole.set(key, gradient);
      continue;
    }
    // Each expert's rows: the gate's, then those of the other half.
    const [name, numParts, part] =
      matrix === "down_proj" || matrix === "w2"
        ? ["down_proj", 1, 0]
        : ["gate_up_proj", 2, matrix === "up_proj" || matrix === "w3" ? 1 : 0];
    const stack = stacks.get(prefix + name) ?? [];
    stack[Number(expert) * numParts + part] = gradient;
    stacks.set(prefix + name, stack);
  }
  for (const [key, parts] of stacks)
    whole.set(key, Float32Array.from(parts.flatMap((values) => [...values])));
  return whole;
}
