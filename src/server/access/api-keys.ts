/** @file Keys of clients and what each may do. Keys are long and random, so a plain hash protects them: nobody can try all keys. */
import { Sha256 } from "../../sha256.ts";

/** What a key may do. Each role may do what the ones before it may: texts; then files and jobs; then adapters and all else. */
export const API_ROLES = ["read", "train", "admin"] as const;
export type ApiRole = (typeof API_ROLES)[number];

export interface ApiKey {
  readonly name: string;
  readonly role: ApiRole;
  /** SHA-256 of the key, in hexadecimal. */
  readonly sha256: string;
}

/** Returns the current keys; null: no key is required. */
export type ReadKeys = () => Promise<readonly ApiKey[] | null>;

/** The SHA-256 of a key, as stored in key files. */
export function hashOfKey(key: string): string {
  return new Sha256().update(key).digest();
}

/** Makes keys of the given texts, which may do everything. */
export function adminKeys(keys: readonly string[]): readonly ApiKey[] {
  return keys.map((key, i) => ({ name: `--api-key ${i + 1}`, role: "admin", sha256: hashOfKey(key) }));
}

/** Whether a role includes the needed one. */
export function mayUse(role: ApiRole, needed: ApiRole): boolean {
  return API_ROLES.indexOf(role) >= API_ROLES.indexOf(needed);
}

/** Finds the key that was sent; the time it takes reveals nothing about the existing keys. */
export function findKey(keys: readonly ApiKey[], sent: string): ApiKey | null {
  const hash = hashOfKey(sent);
  let found: ApiKey | null = null;
  for (const key of keys) {
    if (isEqual(key.sha256, hash)) found = key;
  }
  return found;
}

/** Compares texts of one length in constant time. */
function isEqual(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < b.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}
