/** @file A disk on which one call fails: the n-th write (after half of its bytes), sync, rename or read. */
import type { FileHandle } from "node:fs/promises";
import * as node from "node:fs/promises";
import type { Disk } from "../../src/format/files/disk/calls.ts";

/** What fails, and how the system says so. */
export const FAULTS = { write: "ENOSPC", sync: "EIO", rename: "EIO", read: "EIO" } as const;
export type FaultKind = keyof typeof FAULTS;

/** A disk, and how often it was called so far. */
interface FaultyDisk {
  readonly disk: Disk;
  numCalls(): number;
}

type Call = (...args: never[]) => Promise<unknown>;

/** Fails as the system does. */
function fault(of: FaultKind): never {
  throw Object.assign(new Error(`${FAULTS[of]}: made up`), { code: FAULTS[of], syscall: of });
}

/** Makes a disk on whose `nth` call of a kind `strike` is called, counted from 1; 0: on none. */
export function faultyDisk(
  kind: FaultKind,
  nth: number,
  strike: (of: FaultKind) => Promise<never> | never = fault,
): FaultyDisk {
  let numCalls = 0;
  const fails = (of: FaultKind): boolean => of === kind && ++numCalls === nth;
  const guard =
    (of: FaultKind, call: Call): Call =>
    async (...args) => {
      return fails(of) ? await strike(of) : await call(...args);
    };
  const guardHandle = (handle: FileHandle): FileHandle => {
    const own: Partial<Record<keyof FileHandle, unknown>> = {
      async write(bytes: Uint8Array, offset: number, length: number) {
        if (!fails("write")) return await handle.write(bytes, offset, length);
        await handle.write(bytes, offset, length >> 1);
        return await strike("write");
      },
      read: guard("read", handle.read.bind(handle)),
      sync: guard("sync", handle.sync.bind(handle)),
    };
    return new Proxy(handle, {
      get(target, key) {
        const value: unknown = key in own ? own[key as keyof FileHandle] : Reflect.get(target, key, target);
        return typeof value === "function" && !(key in own) ? (value.bind(target) as unknown) : value;
      },
    });
  };
  const disk = {
    ...node,
    open: async (...args: Parameters<Disk["open"]>) => guardHandle(await node.open(...args)),
    async appendFile(path: string, text: string) {
      if (!fails("write")) return await node.appendFile(path, text);
      await node.appendFile(path, text.slice(0, text.length >> 1));
      return await strike("write");
    },
    readFile: guard("read", node.readFile),
    readdir: guard("read", node.readdir),
    rename: guard("rename", node.rename),
  };
  return { disk: disk as unknown as Disk, numCalls: () => numCalls };
}
