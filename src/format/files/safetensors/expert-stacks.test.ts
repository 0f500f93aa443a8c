import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { FormatError } from "../../../errors.ts";
import { hostTensor } from "../../../runtime/host-tensor.ts";
import { temporaryFolder } from "../../../../test/tiny/model.ts";
import { writeSafetensors } from "../../../../test/files/write-safetensors.ts";
import { openSafetensors } from "../../by-path.ts";
import { widen } from "../../../quant/codes/half.ts";
import { stackNames, unstacked } from "./expert-stacks.ts";

const root = temporaryFolder();
const STACK = "layers.3.mlp.switch_mlp.up_proj.weight";

for (const stack of [STACK, "layers.3.mlp.experts.switch_glu.up_proj.weight"]) {
  test(`experts in one tensor are tensors of their own, whole and in pieces: ${stack}`, async () => {
    const path = join(root, "stacks.safetensors");
    const data = Float32Array.from({ length: 24 }, (_, i) => i);
    const norm = hostTensor("float32", [2], Float32Array.of(1, 2));
    await writeSafetensors(path, [
      [stack, hostTensor("float32", [3, 2, 4], data)],
      ["norm.weight", norm],
    ]);
    const file = await openSafetensors(path);
    const weights = unstacked(file);
    const names = [0, 1, 2].map((expert) => `layers.3.mlp.experts.${expert}.up_proj.weight`);
    assert.deepEqual([...weights.tensors.keys()].toSorted(), [...names, "norm.weight"]);
    for (const [expert, name] of names.entries()) {
      const own = data.slice(8 * expert, 8 * expert + 8);
      assert.deepEqual(weights.tensors.get(name)?.shape, [2, 4]);
      assert.deepEqual(await weights.read(name), hostTensor("float32", [2, 4], own));
      const row = new Float32Array(4);
      await weights.readInto(name, row, 4);
      assert.deepEqual(row, own.slice(4));
      assert.equal(weights.view(name), null);
      assert.ok(stackNames(name).includes(stack));
    }
    assert.deepEqual(await weights.read("norm.weight"), norm);
    assert.deepEqual(stackNames("norm.weight"), ["norm.weight"]);
    await file.close();
  });
}

test("gates and halves beside them that lie one below the other are two matrices of each expert", async () => {
  const path = join(root, "joined.safetensors");
  const data = Float32Array.from({ length: 24 }, (_, i) => i);
  await writeSafetensors(path, [
    ["mlp.experts.gate_up_proj", hostTensor("float32", [2, 4, 3], data)],
    ["mlp.experts.down_proj", hostTensor("float32", [2, 3, 2], data.slice(0, 12))],
    ["0.block_sparse_moe.input_linear.weight", hostTensor("float32", [1, 2, 1], data.slice(0, 2))],
    ["0.shared_mlp.input_linear.weight", hostTensor("float32", [2, 1], data.slice(0, 2))],
    ["odd.experts.gate_up_proj", hostTensor("float32", [1, 3, 1], data.slice(0, 3))],
    ["flat.experts.down_proj", hostTensor("float32", [3, 2], data.slice(0, 6))],
  ]);
  const file = await openSafetensors(path);
  const weights = unstacked(file);
  const ofExpert = (expert: number): string[] =>
    ["gate_proj", "up_proj", "down_proj"].map((matrix) => `mlp.experts.${expert}.${matrix}.weight`);
  const others = ["odd.experts.gate_up_proj", "flat.experts.down_proj", "0.shared_mlp.input_linear.weight"];
  const renamed = ["gate_proj", "up_proj"].map((matrix) => `0.block_sparse_moe.experts.0.${matrix}.weight`);
  assert.deepEqual(
    [...weights.tensors.keys()].toSorted(),
    [...ofExpert(0), ...ofExpert(1), ...others, ...renamed].toSorted(),
  );
  const [gate, up, down] = ofExpert(1) as [string, string, string];
  assert.deepEqual(await weights.read(gate), hostTensor("float32", [2, 3], data.slice(12, 18)));
  assert.deepEqual(await weights.read(up), hostTensor("float32", [2, 3], data.slice(18, 24)));
  assert.deepEqual(await weights.read(down), hostTensor("float32", [3, 2], data.slice(6, 12)));
  const row = new Float32Array(3);
  await weights.readInto(up, row, 3);
  assert.deepEqual(row, data.slice(21, 24));
  await file.close();
});

test("experts that classes keep in one tensor, turned round, are matrices and biases of their own, whole and in rows", async () => {
  const path = join(root, "turned.safetensors");
  const halves = Uint16Array.from({ length: 12 }, (_, i) => 0x3f80 + i);
  const biases = Float32Array.from({ length: 6 }, (_, i) => i);
  await writeSafetensors(path, [
    ["mlp.experts.down_proj", hostTensor("bfloat16", [2, 2, 3], halves)],
    ["mlp.experts.down_proj_bias", hostTensor("float32", [2, 3], biases)],
    ["mlp.experts.up_proj", hostTensor("float32", [2], Float32Array.of(1, 2))],
  ]);
  const file = await openSafetensors(path);
  const weights = unstacked(file);
  const own = [6, 9, 7, 10, 8, 11].map((at) => halves[at]!);
  const name = "mlp.experts.1.down_proj.weight";
  assert.deepEqual(await weights.read(name), hostTensor("bfloat16", [3, 2], Uint16Array.from(own)));
  assert.deepEqual(weights.tensors.get(name)?.shape, [3, 2]);
  const rows = new Float32Array(4);
  await weights.readInto(name, rows, 2);
  assert.deepEqual(rows, widen(hostTensor("bfloat16", [4], Uint16Array.from(own.slice(2)))).data);
  assert.equal(weights.view(name), null);
  const bias = await weights.read("mlp.experts.1.down_proj.bias");
  assert.deepEqual(bias, hostTensor("float32", [3], biases.slice(3)));
  assert.ok(weights.tensors.has("mlp.experts.up_proj"), "a vector is no stack");
  await file.close();
});

test("a file without stacks is read as it is, and one with experts without number is refused", async () => {
  const path = join(root, "plain.safetensors");
  await writeSafetensors(path, [["norm.weight", hostTensor("float32", [1], Float32Array.of(1))]]);
  const file = await openSafetensors(path);
  assert.equal(unstacked(file), file);
  const range = file.tensors.get("norm.weight")!;
  const many = { ...file, tensors: new Map([[STACK, { ...range, name: STACK, shape: [2 ** 31, 0] }]]) };
  assert.throws(
    () => unstacked(many),
    (error: unknown) => {
      assert.ok(error instanceof FormatError);
      assert.match(error.message, /2147483648 matrices in stacks such as .*switch_mlp/);
      return true;
    },
  );
  await file.close();
});

test("an expert that lies in a stack and by itself is refused", async () => {
  const path = join(root, "twice.safetensors");
  const own = "layers.3.mlp.experts.1.up_proj.weight";
  await writeSafetensors(path, [
    [STACK, hostTensor("float32", [2, 1], Float32Array.of(1, 2))],
    [own, hostTensor("float32", [1], Float32Array.of(3))],
  ]);
  const file = await openSafetensors(path);
  assert.throws(
    () => unstacked(file),
    (error: unknown) =>
      error instanceof FormatError && error.message.includes(`"${own}" is part of "${STACK}"`),
  );
  await file.close();
});
