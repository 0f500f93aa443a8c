/**
 * @file The hub's address and the token for it, out of `HF_ENDPOINT` and `HF_TOKEN`.
 *
 * The token goes to the address's own origin alone, whatever links and redirects say. Neither the token nor a password is ever part
 * of a message: an address that cannot be used is not quoted.
 */
import type { Environment } from "../../environment.ts";
import { UnreachableError } from "../source.ts";

/** Where a hub is. */
export interface Endpoint {
  /** Without a slash at its end; holds no secret. */
  readonly url: string;
  /** Headers that say who asks, for one request. */
  headersFor(url: string): Record<string, string>;
}

/** Visible signs of ASCII, which is what a header may hold. */
const TOKEN = /^[\x21-\x7e]+$/;

/** Whether the user wants no hub to be reached, as Hugging Face's tools read it. */
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

/** The token without spaces around it, "" where there is none. */
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
