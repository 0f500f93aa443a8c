/**
 * @file The hub's address and token, from `HF_ENDPOINT` and `HF_TOKEN`.
 *
 * The token is sent only to the address's own origin, whatever links and redirects say. Neither the token nor a password ever
 * appears in a message: an unusable address is not quoted.
 */
import type { Environment } from "../../environment.ts";
import { UnreachableError } from "../source.ts";

/** The address of a hub. */
export interface Endpoint {
  /** Without a slash at the end; contains no secret. */
  readonly url: string;
  /** Headers with the token for a request to `url`, if it may have the token. */
  headersFor(url: string): Record<string, string>;
}

/** Visible ASCII characters, which are allowed in a header. */
const TOKEN = /^[\x21-\x7e]+$/;

/** Whether the user forbids contacting a hub; read as Hugging Face's tools read it. */
export function isOffline(env: Environment): boolean {
  return /^(1|true|yes|on)$/i.test(env["HF_HUB_OFFLINE"] ?? "");
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UnreachableError("HF_ENDPOINT is not an address, expected http(s)://HOST");
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new UnreachableError("HF_ENDPOINT contains more than an address, expected http(s)://HOST");
  }
  return url;
}

/** The token without spaces around it; "" if there is none. */
export const tokenOf = (env: Environment): string => env["HF_TOKEN"]?.trim() ?? "";

/** Reads the settings. @throws UnreachableError when they cannot be used */
export function readEndpoint(env: Environment): Endpoint {
  const { origin, pathname } = readUrl(env["HF_ENDPOINT"] || "https://huggingface.co");
  const token = tokenOf(env);
  if (token !== "" && !TOKEN.test(token)) {
    throw new UnreachableError("HF_TOKEN contains a space, a line break or another invalid character");
  }
  return {
    url: (origin + pathname).replace(/\/+$/, ""),
    headersFor: (url) =>
      token !== "" && new URL(url).origin === origin ? { authorization: `Bearer ${token}` } : {},
  };
}
