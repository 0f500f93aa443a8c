/**
 * @file Decides who sends a request and whether they may. It checks keys and roles, and the origin of web pages that send a
 * request without a key.
 */
import type { Context } from "hono";
import { ApiError, noAddress } from "../api-error.ts";
import { type ApiKey, type ApiRole, type ReadKeys, findKey, mayUse } from "./api-keys.ts";
import type { Access } from "../route.ts";

/** Returns the current keys; null: no key is required. @throws ApiError 503 when they cannot be read: then nobody is let in */
export async function keysOf(readKeys: ReadKeys): Promise<readonly ApiKey[] | null> {
  return await readKeys().catch((fault: unknown) => {
    // The caller is not known yet, so the reason appears only in the server's log.
    const cause = new Error("The keys cannot be read", { cause: fault });
    const message = "The server cannot read its API keys and refuses all requests; the reason is in its log";
    throw new ApiError(503, "keys_unreadable", message, { cause });
  });
}

/**
 * Returns the name of the caller's key; null: no key is required. @throws ApiError 401 without a key of the file, 403 with one
 * whose role is too low; as `keysOf`
 */
export async function requireAccess(
  access: Access,
  context: Context,
  readKeys: ReadKeys,
  origins: readonly string[],
): Promise<string | null> {
  if (access === "everybody") return null;
  const keys = await keysOf(readKeys);
  if (keys === null) {
    requireOrigin(context.req.header("origin") ?? publicOrigin(context.req.url), origins);
    return null;
  }
  const sent = /^Bearer +(\S+)$/i.exec(context.req.header("authorization") ?? "")?.[1];
  if (sent === undefined) {
    throw new ApiError(401, "invalid_api_key", "No API key was sent: expected Authorization: Bearer KEY");
  }
  const key = findKey(keys, sent);
  if (!key) throw new ApiError(401, "invalid_api_key", "The API key is wrong");
  requireRole(key.role, access);
  return key.name;
}

function requireRole(role: ApiRole, access: ApiRole): void {
  if (mayUse(role, access)) return;
  throw new ApiError(
    403,
    "insufficient_permissions",
    `The key has the role "${role}", expected "${access}" for this request`,
  );
}

/** Names that no public site has: without a dot, numbers, and those of local networks. */
const LOCAL_NAME = /^[^.]*$|\]$|\.(?:\d+|localhost|local|internal|home\.arpa|lan)$/;

/**
 * The origin of a page that reached this server by a public name, if it did: a site may give its name the address of this
 * machine, and its pages then send no origin, since they call their own site. @throws ApiError 400
 */
function publicOrigin(url: string): string | undefined {
  // A host such as `a.999` looks like a name, but is not valid.
  if (!URL.canParse(url)) throw noAddress();
  const { hostname, origin } = new URL(url);
  return LOCAL_NAME.test(hostname) ? undefined : origin;
}

/** A page of any site can send requests to this machine: without a key only the origin distinguishes it from a program. */
function requireOrigin(origin: string | undefined, origins: readonly string[]): void {
  if (origin === undefined || origins.includes("*") || origins.includes(origin)) return;
  throw new ApiError(
    403,
    "origin_not_allowed",
    `Pages from "${origin}" may not call this server: it was not started with --cors for them`,
  );
}
