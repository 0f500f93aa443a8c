import assert from "node:assert/strict";
import { test } from "node:test";
import { GraftError } from "../../errors.ts";
import type { Database } from "./database.ts";
import { requireRoom, tellingDiskFaults, toDiskFault } from "./disk-faults.ts";

/** A database all of whose calls fail. */
function failing(fault: unknown): Database {
  const fail = async (): Promise<never> => {
    throw fault;
  };
  return tellingDiskFaults({ query: fail, transaction: fail, close: async () => {} });
}

test("a full disk is told as such, whichever way the database says it", async () => {
  const full = Object.assign(new Error("could not extend file: No space left on device"), { code: "53100" });
  for (const error of [full, { name: "ErrnoError", errno: 51 }]) {
    const database = failing(error);
    for (const call of [database.query("select 1"), database.transaction(async () => {})]) {
      await assert.rejects(call, (told) => {
        assert.ok(told instanceof GraftError);
        assert.equal(told.code, "failed/database");
        assert.match(told.message, /no space left on device, expected space/i);
        assert.match(told.hint ?? "", /Free some space/);
        return true;
      });
    }
  }
});

test("other errors pass as they are", async () => {
  const wrong = Object.assign(new Error("syntax error"), { code: "42601" });
  await assert.rejects(failing(wrong).query("selekt"), (error) => error === wrong);
  assert.equal(toDiskFault(null), null);
});

test("a write needs room for a new log", async () => {
  await requireRoom("here", async () => ({ bavail: 8192, bsize: 4096 }));
  await assert.rejects(
    requireRoom("here", async () => ({ bavail: 1000, bsize: 4096 })),
    {
      code: "failed/database",
      message: /its disk has 4\.1 MB free, expected at least 33\.6 MB/,
    },
  );
});
