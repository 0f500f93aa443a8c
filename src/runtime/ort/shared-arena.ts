/**
 * @file Memory that all programs use in turn for the values between their nodes, instead of each having its own: an arena of ONNX
 * Runtime's environment, which is freed with the last of them. It is not cleared between runs.
 */
import { ARENA_ALLOCATOR, MEMORY_DEFAULT, type OrtApi } from "./ort-c-api.ts";

/** No limit. */
const MAX_BYTES = 0;
/**
 * kNextPowerOfTwo: regions that are exactly as large as a value break up into pieces that fit nothing (docs/log.md#memory-of-a-process).
 */
const DOUBLE = 0;
/**
 * The first region is large enough for most programs, so that no room is lost at the ends of smaller ones; what of it was never
 * used takes no memory.
 */
const FIRST_REGION_BYTES = 256 * 2 ** 20;
/** How much of a block may stay unused: ONNX Runtime's default. */
const USUAL = -1;

/** Programs of this thread that share the arena. */
let numSharing = 0;
let isRegistered = false;

/** Makes sure that there is an arena for a session that will be created with `session.use_env_allocators`. */
export function shareArena(api: OrtApi, env: bigint): void {
  if (!isRegistered) registerArena(api, env);
  isRegistered = true;
  numSharing++;
}

/** Counts out a released session. After the last one a fresh, empty arena replaces the shared one. */
export function leaveArena(api: OrtApi, env: bigint): void {
  if (--numSharing === 0) registerArena(api, env);
}

function registerArena(api: OrtApi, env: bigint): void {
  const settings = api.make("createArenaCfg", MAX_BYTES, DOUBLE, FIRST_REGION_BYTES, USUAL);
  const memory = api.make("createCpuMemoryInfo", ARENA_ALLOCATOR, MEMORY_DEFAULT);
  try {
    api.call("createAndRegisterAllocator", env, memory, settings);
  } finally {
    api.release("arenaCfg", settings);
    api.release("memoryInfo", memory);
  }
}
