import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import test, { after } from "node:test";
import { assert as check, asyncProperty, nat } from "fast-check";
import { FormatError } from "../../../errors.ts";
import type { DType } from "../../../graph/dtype.ts";
import { type HostTensor, hostTensor } from "../../../runtime/host-tensor.ts";
import type { Folder } from "../folder.ts";
import { nodeFolder } from "../node-folder.ts";
import { safetensorsFile } from "./safetensors-writer.ts";
import { openSafetensorsIndex } from "./safetensors-index.ts";
import { openSafetensors } from "../../by-path.ts";
import { writeSafetensors } from "../../../../test/files/write-safetensors.ts";

const root = mkdtempSync(join(tmpdir(), "graft-safetensors-"));
after(() => rmSync(root, { recursive: true }));

/** Writes a file with any header text or object. */
function writeRaw(name: string, header: unknown, dataBytes: number): string {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(join(root, name), Buffer.concat([length, json, Buffer.alloc(dataBytes)]));
  return join(root, name);
}

const f32 = (numElements: number, begin: number, end = begin + 4 * numElements): object => ({
  dtype: "F32",
  shape: [numElements],
  data_offsets: [begin, end],
});

const TENSORS: [string, HostTensor<DType>][] = [
  ["bool", hostTensor("bool", [3], new Uint8Array([1, 0, 1]))],
  ["z.f32", hostTensor("float32", [2, 2], new Float32Array([1, -2, 0.5, Infinity]))],
  ["a.f32", hostTensor("float32", [], new Float32Array([7]))],
  ["f16", hostTensor("float16", [2], new Uint16Array([0x3c00, 1]))],
  ["bf16", hostTensor("bfloat16", [1], new Uint16Array([0x3f80]))],
  ["i64", hostTensor("int64", [1], new BigInt64Array([-5n]))],
  ["i32", hostTensor("int32", [2], new Int32Array([-1, 2]))],
  ["u8", hostTensor("uint8", [1], new Uint8Array([255]))],
  ["i8", hostTensor("int8", [1], new Int8Array([-128]))],
  ["empty", hostTensor("float32", [0, 4], new Float32Array(0))],
];

test("what writeSafetensors() writes, openSafetensors() reads back, for every type", async () => {
  const path = join(root, "all.safetensors");
  await writeSafetensors(path, TENSORS);
  const file = await openSafetensors(path);
  assert.equal(file.tensors.size, TENSORS.length);
  assert.deepEqual(file.metadata, { format: "pt" });
  for (const [name, tensor] of TENSORS) assert.deepEqual(await file.read(name), tensor);
  await file.close();
});

test("view() shows float32 tensors where they lie, after close() too, and nothing else", async () => {
  const path = join(root, "views.safetensors");
  await writeSafetensors(path, TENSORS);
  const file = await openSafetensors(path);
  const views = TENSORS.map(([name]) => [name, file.view(name)] as const);
  assert.throws(() => file.view("missing"), FormatError);
  await file.close();
  if (process.platform === "win32") return;
  for (const [i, [, view]] of views.entries()) {
    const tensor = TENSORS[i]![1];
    assert.deepEqual(view, tensor.dtype === "float32" ? tensor : null);
  }
  const [first, second] = [views[1]![1], views[2]![1]];
  assert.equal(first?.data.buffer, second?.data.buffer);
});

test("view() gives null for numbers that do not lie at whole places", async () => {
  const header = JSON.stringify({ a: f32(2, 0) });
  for (const [odd, isNull] of [
    [1, true],
    [0, process.platform === "win32"],
  ] as const) {
    const path = writeRaw("odd.safetensors", header.padEnd(64 + odd), 8);
    const file = await openSafetensors(path);
    assert.equal(file.view("a") === null, isNull);
    await file.close();
  }
});

test("writeSafetensors() lays a file out as the reference does: header padded to 8, wide types first, by name", async () => {
  const path = join(root, "layout.safetensors");
  await writeSafetensors(path, [
    ["b", hostTensor("float32", [1], new Float32Array([2]))],
    ["c", hostTensor("uint8", [1], new Uint8Array([3]))],
    ["a", hostTensor("float32", [1], new Float32Array([1]))],
  ]);
  const bytes = readFileSync(path);
  const headerBytes = Number(bytes.readBigUInt64LE());
  assert.equal(headerBytes % 8, 0);
  const header = bytes.subarray(8, 8 + headerBytes).toString();
  assert.equal(
    header.trimEnd(),
    '{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"c":{"dtype":"U8","shape":[1],"data_offsets":[8,9]}}',
  );
  assert.deepEqual([...bytes.subarray(8 + headerBytes)], [0, 0, 128, 63, 0, 0, 0, 64, 3]);
});

test("writeSafetensors() asks for lazy tensors one by one, in the order of the file", async () => {
  const path = join(root, "lazy.safetensors");
  const asked: string[] = [];
  const lazy = (name: string): [string, { dtype: DType; shape: number[]; load(): HostTensor }] => [
    name,
    {
      dtype: "int32",
      shape: [1],
      load() {
        asked.push(name);
        return hostTensor("int32", [1], new Int32Array([asked.length]));
      },
    },
  ];
  await writeSafetensors(path, [lazy("y"), lazy("x")]);
  assert.deepEqual(asked, ["x", "y"]);
  const file = await openSafetensors(path);
  assert.deepEqual((await file.read("y")).data, new Int32Array([2]));
  await file.close();
});

test("writeSafetensors() leaves nothing when a lazy tensor is not what it said", async () => {
  const load = (): HostTensor => hostTensor("float32", [2], new Float32Array(2));
  await assert.rejects(
    writeSafetensors(join(root, "wrong.safetensors"), [["w", { dtype: "float32", shape: [3], load }]]),
    /tensor "w": 2 of float32, expected float32 \[3\]/,
  );
  assert.ok(!readdirSync(root).some((name) => name.includes("wrong")));
});

const BAD: readonly [string, unknown, number, RegExp][] = [
  ["broken JSON", '{"a": {', 0, /Cannot parse JSON .+bad/],
  ["JSON that is not an object", "[]", 0, /an array, expected an object/],
  ["truncated data", { a: f32(4, 0) }, 12, /\d+ bytes, expected \d+/],
  ["surplus data", { a: f32(4, 0) }, 20, /\d+ bytes, expected \d+/],
  ["overlapping tensors", { a: f32(2, 0), b: f32(2, 4) }, 12, /"b" starts at byte \d+, expected \d+/],
  ["a gap", { a: f32(1, 0), b: f32(1, 8) }, 12, /"b" starts at byte \d+, expected \d+/],
  ["a shape that does not fit the offsets", { a: f32(3, 0, 8) }, 8, /"a" F32 \[3\] has 8 bytes, expected 12/],
  ["offsets in the wrong order", { a: f32(1, 4, 0) }, 4, /"a" F32 \[1\] has -4 bytes, expected 4/],
  ["offsets past the end", { a: f32(1, 400) }, 4, /"a" starts at byte \d+/],
  ["a negative size", { a: { dtype: "F32", shape: [-1], data_offsets: [0, 4] } }, 4, /"a" has a bad entry/],
  ["an entry without offsets", { a: { dtype: "F32", shape: [1] } }, 4, /"a" has a bad entry/],
  ["an unknown type", { a: { dtype: "X9", shape: [1], data_offsets: [0, 4] } }, 4, /"a" is X9/],
];

for (const [what, header, dataBytes, message] of BAD) {
  test(`openSafetensors() refuses ${what} with a FormatError that names the file`, async () => {
    const path = writeRaw("bad.safetensors", header, dataBytes);
    await assert.rejects(openSafetensors(path), (error: unknown) => {
      assert.ok(error instanceof FormatError);
      assert.match(error.message, message);
      assert.ok(error.message.includes(path));
      assert.ok(error.hint);
      return true;
    });
  });
}

test("openSafetensors() refuses a header longer than the file, a short file, a missing file and a folder", async () => {
  const path = join(root, "cut.safetensors");
  writeFileSync(path, new Uint8Array([40, 0, 0, 0, 0, 0, 0, 0, 1]));
  await assert.rejects(openSafetensors(path), {
    code: "format/file",
    message: /9 bytes, expected at least 48/,
  });
  writeFileSync(path, new Uint8Array(8).fill(255));
  await assert.rejects(openSafetensors(path), { code: "format/file", message: /a header of 1844\d+ bytes/ });
  writeFileSync(path, new Uint8Array(3));
  await assert.rejects(openSafetensors(path), {
    code: "format/file",
    message: /3 bytes, expected at least 8/,
  });
  await assert.rejects(openSafetensors(join(root, "no")), { code: "format/file", message: /no such file/ });
  await assert.rejects(openSafetensors(root), { code: "format/file", message: /folder/ });
});

test("read() refuses names that are not there and types that graft cannot hold", async () => {
  for (const [dtype, sizeBytes] of [["F64", 32] as const, ["F8_E8M0", 4] as const, ["F4", 2] as const]) {
    const entry = { dtype, shape: [4], data_offsets: [0, sizeBytes] };
    const file = await openSafetensors(writeRaw(`${dtype}.safetensors`, { a: entry }, sizeBytes));
    const message = new RegExp(`tensor "a" .+ ${dtype}, expected F32`);
    await assert.rejects(file.read("a"), { code: "format/tensor", message });
    await assert.rejects(file.read("b"), { code: "format/tensor", message: /tensor "b" .+ not in the file/ });
    await file.close();
  }
});

test("openSafetensorsIndex() reads from all files of a model and refuses missing files and tensors", async () => {
  const one = hostTensor("float32", [1], new Float32Array([1]));
  const two = hostTensor("float32", [1], new Float32Array([2]));
  await writeSafetensors(join(root, "m-1.safetensors"), [["one", one]]);
  await writeSafetensors(join(root, "m-2.safetensors"), [["two", two]]);
  const index = join(root, "model.safetensors.index.json");
  const writeIndex = (weightMap: unknown): void =>
    writeFileSync(index, JSON.stringify({ metadata: {}, weight_map: weightMap }));

  writeIndex({ one: "m-1.safetensors", two: "m-2.safetensors" });
  const file = await openSafetensorsIndex(nodeFolder(root), basename(index));
  assert.deepEqual(await file.read("one"), one);
  assert.deepEqual(await file.read("two"), two);
  await file.close();

  writeIndex({ one: "m-1.safetensors", two: "m-3.safetensors" });
  await assert.rejects(openSafetensorsIndex(nodeFolder(root), basename(index)), {
    code: "format/file",
    message: /m-3\.safetensors/,
  });
  writeIndex({ one: "m-1.safetensors", three: "m-2.safetensors" });
  await assert.rejects(openSafetensorsIndex(nodeFolder(root), basename(index)), {
    code: "format/tensor",
    message: /"three" of .+m-2/,
  });
  writeIndex({ one: "../m-1.safetensors" });
  await assert.rejects(openSafetensorsIndex(nodeFolder(root), basename(index)), {
    code: "format/file",
    message: /expected a file in the same/,
  });
  writeIndex(3);
  await assert.rejects(openSafetensorsIndex(nodeFolder(root), basename(index)), {
    code: "format/file",
    message: /no weight_map/,
  });
});

test("openSafetensorsIndex() closes every file, also where closing one fails", async () => {
  const files = ["c-1.safetensors", "c-2.safetensors"];
  for (const name of files) {
    await writeSafetensors(join(root, name), [[name, hostTensor("float32", [1], new Float32Array([1]))]]);
  }
  const index = join(root, "c.index.json");
  writeFileSync(index, JSON.stringify({ weight_map: Object.fromEntries(files.map((name) => [name, name])) }));
  const closed: string[] = [];
  const folder = nodeFolder(root);
  const watched: Folder = {
    ...folder,
    open: async (name) => {
      const file = await folder.open(name);
      const close = file.close.bind(file);
      return Object.assign(file, {
        close: async () => {
          closed.push(name);
          await close();
          if (name === files[0]) throw new Error("cannot be closed");
        },
      });
    },
  };
  const file = await openSafetensorsIndex(watched, basename(index));
  await assert.rejects(file.close(), /^Error: cannot be closed$/);
  assert.deepEqual(closed, files);
});

test("writeSafetensors() below a file fails with failed/write", async () => {
  const file = join(root, "plain");
  writeFileSync(file, "");
  await assert.rejects(writeSafetensors(join(file, "x.safetensors"), TENSORS), { code: "failed/write" });
});

test("a safetensors file with any damaged byte opens or is a FormatError", async () => {
  const path = join(root, "damaged.safetensors");
  await writeSafetensors(path, TENSORS);
  const whole = readFileSync(path);
  await check(
    asyncProperty(nat(whole.length - 1), nat(255), async (index, byte) => {
      const bytes = Buffer.from(whole);
      bytes[index] = byte;
      writeFileSync(path, bytes);
      try {
        await (await openSafetensors(path)).close();
      } catch (error) {
        assert.ok(error instanceof FormatError, String(error));
      }
    }),
    { numRuns: 300, seed: 1 },
  );
});

test("a tensor may be called as what every object has", async () => {
  const path = join(root, "proto.safetensors");
  const tensors = ["__proto__", "constructor"].map(
    (name, i) => [name, hostTensor("float32", [1], Float32Array.of(i))] as const,
  );
  await writeSafetensors(path, tensors);
  const file = await openSafetensors(path);
  for (const [name, tensor] of tensors) assert.deepEqual(await file.read(name), tensor);
  await file.close();
});

test("a header with a key twice, at any depth, or with broken UTF-8 is refused", async () => {
  const entry = JSON.stringify(f32(1, 0));
  for (const [i, text] of [
    `{"a":${entry},"a":${entry}}`,
    `{"a":${entry}, "\\u0061" :${entry}}`,
    `{"__metadata__":{"x":"1","x":"2"},"a":${entry}}`,
    `{"a":{"dtype":"F32","shape":[2],"shape":[1],"data_offsets":[0,4]}}`,
  ].entries()) {
    await assert.rejects(openSafetensors(writeRaw(`twice-${i}`, text, 4)), {
      code: "format/file",
      message: /key "(a|x|shape)" occurs twice/,
    });
  }
  const path = writeRaw("utf8", `{"#":${entry}}`, 4);
  writeFileSync(
    path,
    readFileSync(path).map((byte) => (byte === 0x23 ? 0xff : byte)),
  );
  await assert.rejects(openSafetensors(path), { code: "format/file", message: /broken UTF-8/ });
});

test("what a plan wrote is held against what it reads back", async () => {
  const [a, b] = [
    hostTensor("float32", [1], Float32Array.of(1)),
    hostTensor("float32", [2], new Float32Array(2)),
  ];
  const path = join(root, "planned.safetensors");
  await writeSafetensors(path, [["a", a]]);
  const file = await nodeFolder(root).open("planned.safetensors");
  await safetensorsFile("x", [["a", a]]).check(file);
  for (const tensors of [
    [["a", b]],
    [["b", a]],
    [
      ["a", a],
      ["b", b],
    ],
    [],
  ] as [string, HostTensor][][]) {
    await assert.rejects(safetensorsFile("x", tensors).check(file), {
      code: "format/file",
      message: /other tensors/,
    });
  }
  await file.close();
});
