/**
 * @file Memory that programs use one after another for the values between their nodes, instead of some for each: an arena
 * of ONNX Runtime's environment, which goes with the last of them. What a run has used is not cleared for the next one.
 */
import { ARENA_ALLOCATOR, MEMORY_DEFAULT, type OrtApi } from "./ort-c-api.ts";

/** No limit. */
const MAX_BYTES = 0;
/** kNextPowerOfTwo: regions that are exactly as large as a value fall to pieces that fit nothing (docs/log.md#memory-of-a-process). */
const DOUBLE = 0;
/**
 * The first region. One that holds all of most programs has no ends at which room is lost between what they need in turn, and
 * what of it nobody has used takes no memory.
 */
const FIRST_REGION_BYTES = 256 * 2 ** 20;
/** What of a block may stay unused: as ONNX Runtime likes. */
const USUAL = -1;

/** Programs that share the arena of this thread's library. */
let numSharing = 0;
let isRegistered = false;

/** Sees to an arena for a session that is to be created with `session.use_env_allocators`. */
export function shareArena(api: OrtApi, env: bigint): void {
  if (!isRegistered) registerArena(api, env);
  isRegistered = true;
  numSharing++;
}

/** Counts a session out that has been released. After the last one an arena without memory takes the place of theirs. */
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
