/**
 * @file The part of the library that runs wherever JavaScript does: what a program imports from "graft/core".
 *
 * Nothing reachable from here imports Node or an engine: models and adapters are read from a `Folder`, data from text, and the
 * caller passes in an engine. `test/architecture/core.test.ts` checks that, and `test/package/surface.test.ts` the list of
 * names.
 */
export * from "./everywhere.ts";
export type { CompileOptions, Engine, Program } from "./runtime/engine.ts";
export type { Tensors } from "./runtime/host-tensor.ts";
export type { MakeMemory } from "./runtime/memory/program-memory.ts";
export { PLAIN_TARGET, type Target } from "./graph/emitter.ts";
export { toOnnx } from "./graph/onnx.ts";
export type { ProgramSpec } from "./graph/program.ts";
export type { ByteSource } from "./format/files/byte-source.ts";
export type { Folder } from "./format/files/folder.ts";
export type { FolderFile, Write } from "./format/files/folder-file.ts";
export { type FileContents, memoryFolder } from "./format/files/memory-folder.ts";
export type { Checkpoint } from "./format/checkpoint/checkpoint.ts";
export { type LoadOptions, loadWeights } from "./format/checkpoint/load-model.ts";
export { openCheckpoint } from "./format/checkpoint/open-checkpoint.ts";
export { adapterFiles, type AdapterOrigin } from "./format/adapters/adapter.ts";
export { type ReadAdapter, readAdapter } from "./format/adapters/read-adapter.ts";
export { recordBase } from "./format/adapters/base-record.ts";
export { type DataPart, type DatasetOptions, readExamples } from "./data/dataset.ts";
export { decodeIdx, type IdxArray } from "./data/formats/idx-file.ts";
export { type ImageExample, imageFiles, pairImages } from "./data/examples/images.ts";
