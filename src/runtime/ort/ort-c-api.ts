/**
 * @file The part of ONNX Runtime's C API that the engine calls, on the library file that onnxruntime-node ships.
 *
 * The API is a table of function pointers in the order of onnxruntime_c_api.h, to which entries are only ever appended, so
 * positions never change. Pointers are bigints; a status that is not null is an error, which must be released.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type * as Koffi from "koffi";
import { declineTelemetry } from "./decline-telemetry.ts";
import { loadKoffi } from "../load-koffi.ts";

/** A version that has the entries below; the library serves all versions older than itself. */
const API_VERSION = 21;
/** ORT_LOGGING_LEVEL_ERROR, OrtDeviceAllocator, OrtArenaAllocator, OrtMemTypeDefault. */
export const LOG_ERRORS = 3;
const DEVICE_ALLOCATOR = 0;
export const ARENA_ALLOCATOR = 1;
export const MEMORY_DEFAULT = 0;

/** Names of the library file in onnxruntime-node by platform. */
const FILES: Readonly<Record<string, string>> = {
  linux: "libonnxruntime.so.1",
  darwin: "libonnxruntime.1.dylib",
  win32: "onnxruntime.dll",
};

const POINTER = "void *";
const PATH = process.platform === "win32" ? "str16" : "str";

/** Entries that return a status: position and argument types. */
const ENTRIES = {
  createEnv: [3, ["int", "str", POINTER]],
  createSessionFromArray: [8, [POINTER, POINTER, "size_t", POINTER, POINTER]],
  run: [9, [POINTER, POINTER, POINTER, POINTER, "size_t", POINTER, "size_t", POINTER]],
  createSessionOptions: [10, [POINTER]],
  enableProfiling: [14, [POINTER, PATH]],
  disableMemPattern: [17, [POINTER]],
  setSessionLogSeverityLevel: [22, [POINTER, "int"]],
  setSessionGraphOptimizationLevel: [23, [POINTER, "int"]],
  setIntraOpNumThreads: [24, [POINTER, "int"]],
  setInterOpNumThreads: [25, [POINTER, "int"]],
  createTensorWithDataAsOrtValue: [49, [POINTER, POINTER, "size_t", POINTER, "size_t", "int", POINTER]],
  createCpuMemoryInfo: [69, ["int", "int", POINTER]],
  addSessionConfigEntry: [130, [POINTER, "str", "str"]],
  createAndRegisterAllocator: [144, [POINTER, POINTER, POINTER]],
  addInitializer: [150, [POINTER, "str", POINTER]],
  createArenaCfg: [156, ["size_t", "int", "int", "int", POINTER]],
  addExternalInitializers: [210, [POINTER, POINTER, POINTER, "size_t"]],
} as const;

/** Positions of the entries that release an object of each kind. */
const RELEASES = {
  status: 93,
  session: 95,
  memoryInfo: 94,
  value: 96,
  sessionOptions: 100,
  arenaCfg: 157,
} as const;

type Entry = keyof typeof ENTRIES;
type Kind = keyof typeof RELEASES;

/** Arguments of a call: numbers, addresses, text, and arrays whose memory does not move. */
type Argument = number | bigint | string | null | BigUint64Array | BigInt64Array | Uint8Array;

export interface OrtApi {
  /** The environment that all sessions belong to; made on another thread where possible, while files are read. */
  readonly env: Promise<bigint>;
  /** Describes ordinary CPU memory. */
  readonly memoryInfo: bigint;
  /** Whether asynchronous calls have the stack that they need. */
  readonly canCallAsync: boolean;
  /** Calls an entry. @throws Error with ONNX Runtime's message */
  call(entry: Entry, ...args: readonly Argument[]): void;
  /** Calls an entry on another thread. The arguments are kept alive; their memory must not be changed meanwhile. */
  callAsync(entry: Entry, ...args: readonly Argument[]): Promise<void>;
  /** Calls an entry that writes a pointer through its last argument. */
  make(entry: Entry, ...args: readonly Argument[]): bigint;
  release(kind: Kind, pointer: bigint): void;
  /** Releases the object when `owner` is garbage-collected, in a later turn of the event loop at the earliest. */
  releaseWith(owner: object, kind: Kind, pointer: bigint): void;
  /** Cancels `releaseWith`, for an owner that releases the object itself. */
  keep(owner: object): void;
  /** Address of the first byte of an array; it stays while the array's buffer is neither collected nor detached. */
  addressOf(array: NodeJS.TypedArray): bigint;
}

/** Loaded once, and kept as long as the process, since the library's threads run its code. */
let loaded: OrtApi | null = null;

/** Loads the library. @throws Error when koffi or the library has no build for this platform */
export function loadOrtApi(): OrtApi {
  return (loaded ??= load());
}

/** Folder of the package that brings the library. @throws Error when there is none */
function packageFolder(): string {
  return dirname(dirname(createRequire(import.meta.url).resolve("onnxruntime-node")));
}

/** Returns the version of that package; "unknown" if it cannot be read. */
export function engineVersion(): string {
  const read = createRequire(import.meta.url);
  try {
    return String((read(join(packageFolder(), "package.json")) as { version?: string }).version);
  } catch {
    return "unknown";
  }
}

type Call = ((...args: readonly Argument[]) => bigint | null) & {
  async(...args: readonly (Argument | ((error: Error | null, status: bigint | null) => void))[]): void;
};

/** The entries of the library's table; `check` throws the error of a status, if any. */
interface Table {
  readonly library: Koffi.LibraryHandle;
  readonly calls: Readonly<Record<Entry, Call>>;
  readonly releases: Readonly<Record<Kind, Call>>;
  readonly check: (status: bigint | null) => void;
}

/** Loads the library and finds the entries of its table by position. @throws Error when it cannot */
function openTable(koffi: typeof Koffi): Table {
  const file = FILES[process.platform] ?? "";
  const library = koffi.load(join(packageFolder(), "bin", "napi-v6", process.platform, process.arch, file));
  const base = library.func("OrtGetApiBase", POINTER, [])() as bigint;
  const getApi = koffi.decode(
    koffi.decode(base, POINTER),
    koffi.proto(POINTER, ["uint32"]),
  ) as Koffi.KoffiFunc<(version: number) => bigint | null>;
  const table = getApi(API_VERSION);
  if (table === null) throw new Error(`Cannot use ONNX Runtime: it has no C API of version ${API_VERSION}`);
  const at = (index: number, result: string, args: readonly string[]): Call =>
    koffi.decode(
      koffi.decode(table, index * koffi.sizeof(POINTER), POINTER),
      koffi.proto(result, [...args]),
    ) as Call;
  const calls = Object.fromEntries(
    Object.entries(ENTRIES).map(([name, [index, args]]) => [name, at(index, POINTER, args)]),
  ) as Record<Entry, Call>;
  const releases = Object.fromEntries(
    Object.entries(RELEASES).map(([kind, index]) => [kind, at(index, "void", [POINTER])]),
  ) as Record<Kind, Call>;
  const messageOf = at(2, "str", [POINTER]) as unknown as (status: bigint) => string;
  const check = (status: bigint | null): void => {
    if (status === null) return;
    const message = messageOf(status);
    releases.status(status);
    throw new Error(message);
  };
  return { library, calls, releases, check };
}

function load(): OrtApi {
  declineTelemetry();
  const { koffi, canCallAsync } = loadKoffi();
  const { library, calls, releases, check } = openTable(koffi);
  // Shared by all calls: it is read before the next one.
  const out = pointers(1);
  const make = (entry: Entry, ...args: readonly Argument[]): bigint => {
    check(calls[entry](...args, out));
    return out[0]!;
  };
  const collected = new FinalizationRegistry<readonly [Kind, bigint]>(([kind, pointer]) =>
    releases[kind](pointer),
  );
  const callAsync: OrtApi["callAsync"] = (entry, ...args) =>
    new Promise((resolve, reject) => {
      calls[entry].async(...args, (error: Error | null, status: bigint | null) => {
        try {
          if (error) throw error;
          check(status);
          // Referring to the arguments and the library keeps both alive until here.
          resolve(void [args, library]);
        } catch (failure) {
          reject(failure);
        }
      });
    });
  const createEnv = async (): Promise<bigint> => {
    if (!canCallAsync) return make("createEnv", LOG_ERRORS, "graft");
    const made = pointers(1);
    await callAsync("createEnv", LOG_ERRORS, "graft", made);
    return made[0]!;
  };
  const env = createEnv();
  // Callers that compile await it and get its error; this only keeps the rejection from being unhandled.
  env.catch(() => {});
  return {
    canCallAsync,
    env,
    memoryInfo: make("createCpuMemoryInfo", DEVICE_ALLOCATOR, MEMORY_DEFAULT),
    call: (entry, ...args) => check(calls[entry](...args)),
    callAsync,
    make,
    release: (kind, pointer) => void releases[kind](pointer),
    releaseWith: (owner, kind, pointer) => collected.register(owner, [kind, pointer], owner),
    keep: (owner) => void collected.unregister(owner),
    addressOf: (array) => koffi.address(array),
  };
}

/** Makes an array for pointers in memory that does not move; V8 keeps small typed arrays without a given buffer in its moving heap. */
export function pointers(length: number): BigUint64Array<ArrayBuffer> {
  return new BigUint64Array(new ArrayBuffer(8 * length));
}
