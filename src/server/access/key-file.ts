/**
 * @file keys.json of a state folder: names, roles and hashes of keys, readable only by its owner.
 *
 * Before each request, a server checks whether the file has changed, so that a removed key is refused at once.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { FormatError, UsageError } from "../../errors.ts";
import { writeTextAtomic } from "../../format/files/atomic.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { lockFolder } from "../../format/files/disk/folder-lock.ts";
import { makeFolders, removeFolders, removeFoldersNow } from "../../format/files/disk/make-folders.ts";
import { formatJson, parseJsonObject } from "../../format/files/json-file.ts";
import { didYouMean } from "../../messages/nearest.ts";
import { shellWords } from "../../messages/shell-words.ts";
import { systemCode, toFailedRead, toFailedWrite } from "../../messages/system-error.ts";
import { API_ROLES, type ApiRole, hashOfKey } from "./api-keys.ts";

const FILE_NAME = "keys.json";
/** Lock for changes of keys; the folder's own lock belongs to its server. */
const LOCK = ".graft-keys-lock";
const VERSION = 1;
const OWNER_ONLY = 0o600;
const KEY_BYTES = 32;
/** Names appear in lists and logs. */
const NAME = /^[\w.@-]{1,64}$/;

const FILE = z.strictObject({
  version: z.literal(VERSION),
  keys: z.array(
    z.strictObject({
      name: z.string().regex(NAME),
      role: z.enum(API_ROLES),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      created_at: z.int(),
    }),
  ),
});
type StoredKey = z.output<typeof FILE>["keys"][number];

export class KeyFile {
  readonly #folder: string;
  readonly #path: string;
  #seen: { readonly stamp: string; readonly keys: readonly StoredKey[] } | null = null;

  /** `state`: the folder that contains the file. */
  constructor(state: string) {
    this.#folder = state;
    this.#path = join(state, FILE_NAME);
  }

  /**
   * Returns the current keys; null: there never was a file. If the file has been removed since, there are no keys.
   * @throws FormatError for a file that is not a key file
   */
  async read(): Promise<readonly StoredKey[] | null> {
    try {
      const { mtimeMs, ino, size } = await disk().stat(this.#path);
      const stamp = `${mtimeMs} ${ino} ${size}`;
      if (this.#seen?.stamp !== stamp) {
        this.#seen = { stamp, keys: this.#parse(await disk().readFile(this.#path, "utf8")) };
      }
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw toFailedRead(error, this.#path);
      if (this.#seen) this.#seen = { stamp: "", keys: [] };
    }
    return this.#seen?.keys ?? null;
  }

  #parse(text: string): readonly StoredKey[] {
    const value = parseJsonObject(text, this.#path);
    if (typeof value["version"] === "number" && value["version"] !== VERSION) {
      throw new FormatError(
        "format/file",
        `Cannot read keys "${this.#path}": version ${value["version"]}, expected ${VERSION}`,
        { hint: "Use the version of graft that wrote it." },
      );
    }
    const parsed = FILE.safeParse(value);
    if (parsed.success) return parsed.data.keys;
    throw new FormatError(
      "format/file",
      `Cannot read keys "${this.#path}": ${parsed.error.issues[0]?.path.join(".")} is wrong, expected a list of keys`,
      { hint: "Delete the file, and add the keys again with graft keys add." },
    );
  }

  /**
   * Makes a key, shows it, stores its hash after that, and returns it.
   * @throws UsageError "usage/flag" for a name that is taken or invalid; "usage/state" while another changes keys; what `show`
   * throws
   */
  async add(
    name: string,
    role: ApiRole,
    nowMs: number,
    show: (key: string) => Promise<void>,
  ): Promise<string> {
    if (!NAME.test(name)) {
      throw new UsageError(
        "usage/flag",
        `Cannot add key "${name}": expected up to 64 letters, digits, - _ . and @`,
        { hint: "Choose another name." },
      );
    }
    const key = `graft-${randomBytes(KEY_BYTES).toString("base64url")}`;
    await this.#change(async (keys) => {
      if (keys.some((other) => other.name === name)) {
        throw new UsageError(
          "usage/flag",
          `Cannot add key "${name}": a key of this name exists, expected a new name`,
          {
            hint: `Remove it first (${shellWords(["graft", "keys", "remove", name, "--state", this.#folder])}), or choose another name.`,
          },
        );
      }
      await show(key);
      const stored = { name, role, sha256: hashOfKey(key), created_at: Math.floor(nowMs / 1000) };
      return [...keys, stored];
    });
    return key;
  }

  /** @throws UsageError "usage/flag" when there is none of this name; "usage/state" while another changes keys */
  async remove(name: string): Promise<void> {
    await this.#change(async (keys) => {
      if (!keys.some((key) => key.name === name)) {
        const names = keys.map((key) => key.name);
        throw new UsageError(
          "usage/flag",
          `Cannot remove key "${name}": no key has this name, expected that of a key`,
          {
            hint: didYouMean(name, names) ?? "See graft keys list for the names.",
          },
        );
      }
      return keys.filter((key) => key.name !== name);
    });
  }

  /** Changes the keys under a lock: otherwise, of two changes at the same time, one would be lost. */
  async #change(change: (keys: readonly StoredKey[]) => Promise<readonly StoredKey[]>): Promise<void> {
    const fail = (error: unknown): never => {
      throw toFailedWrite(error, this.#path);
    };
    const made = await makeFolders(this.#folder).catch(fail);
    try {
      const lock = await lockFolder(this.#folder, LOCK).catch(fail);
      if (!("release" in lock)) {
        throw new UsageError(
          "usage/state",
          `Cannot change keys "${this.#path}": another process is changing them, expected one at a time`,
          {
            hint: `Try again; if that process ran on another machine and has ended, delete "${join(this.#folder, LOCK)}".`,
          },
        );
      }
      // The process exits at once when nobody reads the key; the lock is then removed too, before the folders.
      const onExit = (): void => removeFoldersNow(made);
      process.once("exit", onExit);
      try {
        const keys = await change((await this.read()) ?? []);
        await writeTextAtomic(this.#path, formatJson({ version: VERSION, keys }), OWNER_ONLY);
      } finally {
        process.off("exit", onExit);
        await lock.release();
      }
    } finally {
      await removeFolders(made);
    }
  }
}
