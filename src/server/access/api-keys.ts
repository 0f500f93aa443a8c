/**
 * @file Keys of clients and what each may do. Keys are long and drawn at random, so a plain hash keeps them: nobody can try
 * them all.
 */
import { Sha256 } from "../../sha256.ts";

/** What a key may do; each role may do what those before it may: texts; files and jobs; adapters and all else. */
export const API_ROLES = ["read", "train", "admin"] as const;
export type ApiRole = (typeof API_ROLES)[number];

export interface ApiKey {
  readonly name: string;
  readonly role: ApiRole;
  /** SHA-256 of the key, in hexadecimal. */
  readonly sha256: string;
}

/** Gives the keys of this moment; null: none is asked for. */
export type ReadKeys = () => Promise<readonly ApiKey[] | null>;

/** The SHA-256 of a key, as key files have it. */
export function hashOfKey(key: string): string {
  return new Sha256().update(key).digest();
}

/** Keys that are given as they are, which may do everything. */
export function adminKeys(keys: readonly string[]): readonly ApiKey[] {
  return keys.map((key, i) => ({ name: `--api-key ${i + 1}`, role: "admin", sha256: hashOfKey(key) }));
}

/** Whether a role may do what another is needed for. */
export function mayUse(role: ApiRole, needed: ApiRole): boolean {
  return API_ROLES.indexOf(role) >= API_ROLES.indexOf(needed);
}

/** Finds who sent a key; how long it takes tells nothing of the keys that there are. */
export function findKey(keys: readonly ApiKey[], sent: string): ApiKey | null {
  const hash = hashOfKey(sent);
  let found: ApiKey | null = null;
  for (const key of keys) {
    if (isEqual(key.sha256, hash)) found = key;
  }
  return found;
}

/** Compares texts of one length; always looks at all of them. */
function isEqual(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < b.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}
