/** @file The API keys that a server accepts, and where it may listen without any. */
import { z } from "zod";
import type { Environment } from "../../environment.ts";
import { UsageError } from "../../errors.ts";
import { type ApiKey, type ReadKeys, adminKeys } from "../../server/access/api-keys.ts";
import { KeyFile } from "../../server/access/key-file.ts";
import { parseSettings } from "../../messages/problems.ts";
import { API_KEY, type ServeOptions } from "./serve-flags.ts";

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

const ENVIRONMENT = z.object({ GRAFT_API_KEY: z.array(API_KEY) });

/** Keys in the environment, separated by commas. @throws UsageError "usage/flag" for one that the flag would refuse */
function listedKeys(env: Environment): string[] {
  const words = (env["GRAFT_API_KEY"] ?? "").split(",").map((word) => word.trim());
  const keys = { GRAFT_API_KEY: words.filter((word) => word !== "") };
  return parseSettings(ENVIRONMENT, keys, "the environment", "Commas separate keys.").GRAFT_API_KEY;
}

/**
 * Returns a reader of the keys from flags or environment, and of the state folder; null if there are currently none.
 * @throws as `listedKeys`
 */
export function keyReader(
  { apiKey, state }: Pick<ServeOptions, "apiKey" | "state">,
  env: Environment,
): ReadKeys {
  const given = adminKeys(apiKey.length > 0 ? apiKey : listedKeys(env));
  const file = state === undefined ? null : new KeyFile(state);
  return async () => {
    const kept = (await file?.read()) ?? null;
    return given.length === 0 ? kept : [...given, ...(kept ?? [])];
  };
}

/** Refuses to listen publicly without a key, since anyone who reaches the port could use it. @throws UsageError "usage/flag" */
export function requireKey(host: string, keys: readonly ApiKey[] | null): void {
  if ((keys !== null && keys.length > 0) || LOOPBACK.has(host)) return;
  throw new UsageError("usage/flag", `Cannot listen on ${host} without an API key: anyone could call it`, {
    hint: "Make a key with graft keys add, give --api-key, or listen on 127.0.0.1.",
  });
}
