import assert from "node:assert/strict";
import test from "node:test";
import { Random } from "../../random.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { float32ToBfloat16, float32ToFloat16, FLOAT16_VALUES, widen } from "./half.ts";

const encodeFloat16 = (value: number): number => float32ToFloat16(Float32Array.of(value))[0]!;

function widened(dtype: "float16" | "bfloat16", bits: Uint16Array): Float32Array {
  return widen({ dtype, shape: [bits.length], data: bits }).data;
}

test("FLOAT16_VALUES holds the numbers of the standard", () => {
  const known = [
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x0400, 2 ** -14],
    [0x0001, 2 ** -24],
    [0x3555, 0.333251953125],
    [0x7c00, Infinity],
    [0x8000, -0],
  ] as const;
  for (const [bits, value] of known) assert.ok(Object.is(FLOAT16_VALUES[bits], value), bits.toString(16));
  assert.ok(Number.isNaN(FLOAT16_VALUES[0x7e00]));
});

test("float32ToFloat16() gives back the bits of every number that float16 has", () => {
  for (let bits = 0; bits < 65536; bits++) {
    const value = FLOAT16_VALUES[bits]!;
    if (!Number.isNaN(value)) assert.equal(encodeFloat16(value), bits);
  }
});

test("float32ToFloat16() rounds to the nearest neighbour, ties to the even one", () => {
  const random = new Random(3);
  for (let i = 0; i < 20_000; i++) {
    const low = random.uint32() % 0x7bff;
    const [a, b] = [FLOAT16_VALUES[low]!, FLOAT16_VALUES[low + 1]!];
    const middle = (a + b) / 2;
    assert.equal(encodeFloat16(middle), low % 2 === 0 ? low : low + 1);
    assert.equal(encodeFloat16(Math.fround(a + (b - a) * 0.25)), low);
    assert.equal(encodeFloat16(Math.fround(a + (b - a) * 0.75)), low + 1);
  }
  assert.equal(encodeFloat16(65519), 0x7bff);
  assert.equal(encodeFloat16(65520), 0x7c00);
  assert.equal(encodeFloat16(-1e9), 0xfc00);
  assert.equal(encodeFloat16(NaN) & 0x7e00, 0x7e00);
});

test("float32ToBfloat16() rounds to even, keeps infinities and NaN, and widening gives the value back", () => {
  const values = new Float32Array([1, -2.5, 1 + 2 ** -8, 1 + 3 * 2 ** -8, Infinity, NaN, 3.4e38, 0]);
  const bits = float32ToBfloat16(values);
  assert.deepEqual([...bits.subarray(0, 5)], [0x3f80, 0xc020, 0x3f80, 0x3f82, 0x7f80]);
  assert.deepEqual([...widened("bfloat16", bits)], [1, -2.5, 1, 1 + 2 ** -6, Infinity, NaN, Infinity, 0]);
});

test("float32ToFloat16() and widen() go there and back", () => {
  const values = new Float32Array([0.5, -3, 1024]);
  assert.deepEqual(widened("float16", float32ToFloat16(values)), values);
});

test("widen() makes float32 of every float type and refuses whole numbers", () => {
  const half = widen(hostTensor("float16", [2], new Uint16Array([0x3c00, 0xc000])));
  assert.deepEqual(half, hostTensor("float32", [2], new Float32Array([1, -2])));
  const brain = widen(hostTensor("bfloat16", [1, 1], new Uint16Array([0x3f80])));
  assert.deepEqual(brain, hostTensor("float32", [1, 1], new Float32Array([1])));
  const same = hostTensor("float32", [1], new Float32Array(1));
  assert.equal(widen(same), same);
  assert.throws(() => widen(hostTensor("int32", [1], new Int32Array(1))), /int32, expected a float type/);
});
