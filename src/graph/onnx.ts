/**
 * @file Writes a program as an ONNX file (protobuf).
 *
 * The message types below are the part of the public ONNX schema (onnx.proto, IR version 10) that graft writes.
 */
import { encodeMessage, type MessageFields } from "./protobuf-writer.ts";
import { DTYPES, bytesOf } from "./dtype.ts";
import type { OnnxAttribute, Target } from "./emitter.ts";
import type { TensorType } from "./graph.ts";
import { type ProgramSpec, emitProgram } from "./program.ts";
import type { Shape } from "./shape.ts";

const IR_VERSION = 10;
const OPSETS = [
  { domain: "", version: 23 },
  { domain: "com.microsoft", version: 1 },
];
/** AttributeProto.AttributeType. */
const ATTRIBUTE = { float: 1, int: 2, string: 3, ints: 7 } as const;

/** TensorProto.DataLocation. */
const EXTERNAL = 1;

const MESSAGES: Readonly<Record<string, MessageFields>> = {
  OperatorSetIdProto: { domain: ["string", 1], version: ["int64", 2] },
  ModelProto: {
    irVersion: ["int64", 1],
    producerName: ["string", 2],
    graph: ["GraphProto", 7],
    opsetImport: ["OperatorSetIdProto", 8, "repeated"],
  },
  GraphProto: {
    node: ["NodeProto", 1, "repeated"],
    name: ["string", 2],
    initializer: ["TensorProto", 5, "repeated"],
    input: ["ValueInfoProto", 11, "repeated"],
    output: ["ValueInfoProto", 12, "repeated"],
    valueInfo: ["ValueInfoProto", 13, "repeated"],
  },
  NodeProto: {
    input: ["string", 1, "repeated"],
    output: ["string", 2, "repeated"],
    name: ["string", 3],
    opType: ["string", 4],
    attribute: ["AttributeProto", 5, "repeated"],
    domain: ["string", 7],
  },
  AttributeProto: {
    name: ["string", 1],
    f: ["float", 2],
    i: ["int64", 3],
    s: ["bytes", 4],
    ints: ["int64", 8, "repeated"],
    type: ["int32", 20],
  },
  TensorProto: {
    dims: ["int64", 1, "repeated"],
    dataType: ["int32", 2],
    name: ["string", 8],
    rawData: ["bytes", 9],
    externalData: ["StringStringEntryProto", 13, "repeated"],
    dataLocation: ["int32", 14],
  },
  StringStringEntryProto: { key: ["string", 1], value: ["string", 2] },
  ValueInfoProto: { name: ["string", 1], type: ["TypeProto", 2] },
  TypeProto: { tensorType: ["TensorTypeProto", 1] },
  TensorTypeProto: { elemType: ["int32", 1], shape: ["TensorShapeProto", 2] },
  TensorShapeProto: { dim: ["DimensionProto", 1, "repeated"] },
  DimensionProto: { dimValue: ["int64", 1], dimParam: ["string", 2] },
};

/** A tensor whose data is not in the file. */
interface ExternalTensor {
  readonly shape: readonly number[];
  /** The path of a file beside this one, or a name that the opener of this one resolves. */
  readonly location: string;
  /** Offset and length in bytes within that file; absent: the whole file. */
  readonly span?: { readonly offset: number; readonly length: number };
}

interface OnnxOptions {
  /** Inputs of the program that become external tensors of the file instead of its inputs, by name. */
  readonly external?: ReadonlyMap<string, ExternalTensor>;
  /** Shapes of inputs and outputs that the file declares, by name; default: those of the values. */
  readonly shapes?: ReadonlyMap<string, Shape>;
}

/** Serialises a program for a processor. The bytes are fresh. */
export function toOnnx(
  spec: ProgramSpec,
  target: Target,
  { external = new Map<string, never>(), shapes = new Map<string, never>() }: OnnxOptions = {},
): Uint8Array {
  const emitter = emitProgram(spec, target);
  const ofEnds = ([name, { dtype, shape }]: [string, TensorType]): object =>
    valueInfo(name, { dtype, shape: shapes.get(name) ?? shape });
  const model = {
    irVersion: IR_VERSION,
    producerName: "graft",
    opsetImport: OPSETS,
    graph: {
      name: spec.name,
      node: emitter.nodes.map(({ opType, domain, inputs, outputs, attributes }) => ({
        input: inputs,
        output: outputs,
        opType,
        domain,
        attribute: Object.entries(attributes).map(([name, value]) => attributeProto(name, value)),
      })),
      initializer: [
        ...emitter.constants.map(({ name, dtype, shape, data }) => ({
          name,
          dims: shape,
          dataType: DTYPES[dtype].onnx,
          rawData: bytesOf(data),
        })),
        ...[...external].map(([name, { shape, location, span = {} }]) => ({
          name,
          dims: shape,
          dataType: DTYPES[spec.inputs[name]!.dtype].onnx,
          dataLocation: EXTERNAL,
          externalData: Object.entries({ location, ...span }).map(([key, value]) => ({
            key,
            value: `${value}`,
          })),
        })),
      ],
      input: Object.entries(spec.inputs)
        .filter(([name]) => !external.has(name))
        .map(ofEnds),
      output: Object.entries(spec.outputs).map(ofEnds),
      valueInfo: [...emitter.declared].map((value) => valueInfo(emitter.name(value), value)),
    },
  };
  return encodeMessage(MESSAGES, "ModelProto", model);
}

function attributeProto(name: string, value: OnnxAttribute): object {
  if (typeof value === "number") return { name, i: value, type: ATTRIBUTE.int };
  if (typeof value === "string") return { name, s: new TextEncoder().encode(value), type: ATTRIBUTE.string };
  if ("float" in value) return { name, f: value.float, type: ATTRIBUTE.float };
  return { name, ints: value, type: ATTRIBUTE.ints };
}

function valueInfo(name: string, value: TensorType): object {
  const dim = value.shape.map((d) => (typeof d === "number" ? { dimValue: d } : { dimParam: d }));
  return { name, type: { tensorType: { elemType: DTYPES[value.dtype].onnx, shape: { dim } } } };
}
