/**
 * @file Pushes a folder of an adapter or a model to the hub: makes the repository if need be, sends the files, commits.
 *
 * The client library never gets the token: our own fetch adds it, only to requests to the hub's own address.
 */
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { HubApiError, commit, createRepo, modelInfo } from "@huggingface/hub";

import type { Environment } from "../../environment.ts";
import { FailedError, UsageError } from "../../errors.ts";
import { type Endpoint, isOffline, readEndpoint, tokenOf } from "../remote/endpoint.ts";
import { type PublicFolder, readPublicFolder } from "./push-folder.ts";
import { fetchReason } from "../remote/reach.ts";
import { UnreachableError } from "../source.ts";

interface PushRequest {
  readonly folder: string;
  /** `OWNER/NAME`. */
  readonly name: string;
  readonly isPrivate: boolean;
  readonly env: Environment;
  readonly signal: AbortSignal;
  /** Receives notes for the owner of the folder, before anything is sent. */
  readonly onNote: (note: string) => void;
  readonly onProgress: (sentBytes: number, totalBytes: number) => void;
}

interface Pushed extends PublicFolder {
  /** URL of the repository's page. */
  readonly url: string;
  readonly commit: string;
}

const NAME = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;
/** Given to the client instead of the token, which it requires but must never see. */
const STAND_IN = "hf_added_by_fetch";
/** Most characters of a hub's text that are quoted. */
const MAX_QUOTE = 300;

/**
 * Pushes a folder.
 * @throws as `readPublicFolder`; UsageError "usage/flag" for a name or without a token; FailedError "failed/push"
 */
export async function pushFolder(request: PushRequest): Promise<Pushed> {
  const { folder, name, isPrivate, env, signal } = request;
  const found = await readPublicFolder(folder);
  const endpoint = requireEndpoint(request);
  for (const note of found.notes) request.onNote(note);
  const totalBytes = found.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let sentBytes = 0;
  const onSent = (numBytes: number): void => request.onProgress((sentBytes += numBytes), totalBytes);
  const client = { hubUrl: endpoint.url, accessToken: STAND_IN, fetch: fetchBy(endpoint, signal, onSent) };
  try {
    await requireRepository(client, name, isPrivate);
    const output = await commit({
      ...client,
      repo: { type: "model", name },
      title: `Add ${found.kind} with graft`,
      operations: found.files.map((file) => ({
        operation: "addOrUpdate",
        path: file.name,
        content: pathToFileURL(resolve(join(folder, file.name))),
      })),
      abortSignal: signal,
      useXet: false,
    });
    request.onProgress(totalBytes, totalBytes);
    return { ...found, url: `${endpoint.url}/${name}`, commit: output?.commit.oid ?? "" };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof UsageError) throw error;
    throw toFailedPush(error, request, tokenOf(env));
  }
}

/** Checks name, address and token, before anything is sent. */
function requireEndpoint({ folder, name, env }: PushRequest): Endpoint {
  const refuse = (found: string, expected: string, hint: string): UsageError =>
    new UsageError(
      "usage/flag",
      `Cannot push folder "${folder}" to "${name}": ${found}, expected ${expected}`,
      {
        hint,
      },
    );
  if (!NAME.test(name) || /--|\.\.|\.git$/.test(name)) {
    throw refuse(
      "it is not a repository name",
      "OWNER/NAME",
      "Give your user name on the hub, a / and a name.",
    );
  }
  if (isOffline(env)) {
    throw refuse("HF_HUB_OFFLINE is set", "a hub that may be reached", "Unset it for this command.");
  }
  if (tokenOf(env) === "") {
    throw refuse(
      "there is no token",
      "a token with write access in HF_TOKEN",
      "Create a token in the settings of your account on the hub, and set HF_TOKEN to it.",
    );
  }
  try {
    return readEndpoint(env);
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error;
    throw refuse(error.message, "valid settings", "Set HF_ENDPOINT and HF_TOKEN again.");
  }
}

interface Client {
  readonly hubUrl: string;
  readonly accessToken: string;
  readonly fetch: typeof fetch;
}

/** Makes the repository. An existing one is used, unless it is public although a private one was requested. */
async function requireRepository(client: Client, name: string, isPrivate: boolean): Promise<void> {
  const repo = { type: "model", name } as const;
  try {
    await createRepo({ ...client, repo, visibility: isPrivate ? "private" : "public" });
  } catch (error) {
    if (!(error instanceof HubApiError && error.statusCode === 409)) throw error;
    if (!isPrivate || (await modelInfo({ ...client, name })).private) return;
    throw new UsageError("usage/flag", `Cannot push to "${name}" as private: it exists and is public`, {
      hint: "Make it private on its page, choose another name, or leave --private out.",
    });
  }
}

/** A fetch that adds the token where it belongs, and reports the bytes of files as they are sent. */
function fetchBy(endpoint: Endpoint, signal: AbortSignal, onSent: (numBytes: number) => void): typeof fetch {
  return async (input, { headers: given, ...init } = {}) => {
    const url = input instanceof Request ? input.url : String(input);
    const headers = new Headers(given);
    if (headers.has("authorization")) {
      headers.delete("authorization");
      for (const [key, value] of Object.entries(endpoint.headersFor(url))) headers.set(key, value);
    }
    const isFile = init.method === "PUT" && init.body instanceof Blob;
    const own = AbortSignal.any([signal, ...(init.signal ? [init.signal] : [])]);
    if (!isFile) return await fetch(url, { ...init, headers, signal: own });
    const blob = init.body as Blob;
    headers.set("content-length", String(blob.size));
    const counted = blob.stream().pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(piece, controller) {
          onSent(piece.length);
          controller.enqueue(piece);
        },
      }),
    );
    return await fetch(url, { ...init, headers, signal: own, body: counted, duplex: "half" });
  };
}

/** Converts an error to one line without the token, wherever its text comes from. */
function toFailedPush(error: unknown, { folder, name }: PushRequest, token: string): FailedError {
  const clean = (text: string): string => {
    const line = text.replaceAll(token, "HF_TOKEN").replace(/\s+/g, " ").trim();
    return line.length > MAX_QUOTE ? `${line.slice(0, MAX_QUOTE)}…` : line;
  };
  const fail = (found: string, hint: string): FailedError =>
    new FailedError("failed/push", `Cannot push folder "${folder}" to "${name}": ${clean(found)}`, { hint });
  if (error instanceof HubApiError) {
    const { statusCode, data } = error;
    const said = typeof data?.["error"] === "string" ? `: ${data["error"]}` : "";
    return fail(
      `the hub answers ${statusCode}${said}`,
      statusCode === 401 || statusCode === 403
        ? "Set HF_TOKEN to a token that may write to this owner's repositories."
        : "Fix what the hub names, and push again: files it already has are not sent twice.",
    );
  }
  const reason = fetchReason(error);
  return fail(
    reason instanceof Error ? reason.message : String(reason),
    "Push again: files the hub already has are not sent twice.",
  );
}
