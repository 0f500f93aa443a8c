/** @file Names of models: a path, or `OWNER/NAME` with an optional `@REVISION`; short names are listed in package-models.ts. */
import { homedir } from "node:os";
import { join } from "node:path";

import type { Environment } from "../environment.ts";
import { PACKAGE_MODELS } from "./package-models.ts";

/** A model as the caller named it and, unless the name can only be a path, as a repository. */
export interface ModelName {
  readonly given: string;
  /** `OWNER/NAME` or `NAME`; `null` when the name can only be a path. */
  readonly repository: string | null;
  /** Branch, tag or commit after `@`; `null` means the default branch. */
  readonly revision: string | null;
}

/** Addresses of the hub, which people copy from the browser or from other tools. */
const HUB_ADDRESS = /^(?:https?:\/\/)?(?:www\.)?(?:huggingface\.co|hf\.co)\/(?:models\/)?/i;
/** What follows a name in such an address: the page of a revision. */
const REVISION_PAGE = /^([^/]+\/[^/]+)\/(?:tree|commit)\/([^/?#]+)\/?$/;
const PATH_START = /^(\.{1,2}([/\\]|$)|[/~\\]|[A-Za-z]:[/\\])/;
const MODEL_FILE = /\.(gguf|safetensors)$/i;
const PART = "[A-Za-z0-9][A-Za-z0-9._-]*";
const REPOSITORY = new RegExp(`^(${PART}(?:/${PART})?)(?:@([A-Za-z0-9][A-Za-z0-9._/-]*))?$`);

/** Whether a name can only be a path (`./x`, `~/x`, `/x`, `x.gguf`, `a/b/c`), and not a repository. */
export function isPathLike(given: string): boolean {
  return PATH_START.test(given) || MODEL_FILE.test(given) || !REPOSITORY.test(given);
}

/** Removes the hub's address from a name: `https://huggingface.co/OWNER/NAME/tree/REVISION` becomes `OWNER/NAME@REVISION`. */
function withoutAddress(given: string): string {
  if (!HUB_ADDRESS.test(given)) return given;
  const name = given
    .replace(HUB_ADDRESS, "")
    .replace(/[?#].*$/, "")
    .replace(/\/$/, "");
  const [, repository, revision] = REVISION_PAGE.exec(name) ?? [];
  return repository === undefined ? name : `${repository}@${revision}`;
}

/** Parses a model name; a short name is replaced by the full one. */
export function parseModelName(given: string): ModelName {
  const name = withoutAddress(given);
  const match = isPathLike(name) ? null : REPOSITORY.exec(name);
  if (match === null) return { given, repository: null, revision: null };
  const written = match[1] ?? name;
  const known = PACKAGE_MODELS.find((model) =>
    [model.repository, ...model.aliases].some((name) => name.toLowerCase() === written.toLowerCase()),
  );
  return { given, repository: known?.repository ?? written, revision: match[2] ?? null };
}

/** Replaces a leading `~` by the home folder. */
export function expandHome(path: string, env: Environment): string {
  if (path !== "~" && !path.startsWith("~/")) return path;
  return join(env["HOME"] ?? homedir(), path.slice(1));
}
