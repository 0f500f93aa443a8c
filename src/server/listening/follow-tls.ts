/** @file Takes up certificates that are renewed while the server runs. */
import { Trouble, type TroubleOptions } from "../../jobs/queue/trouble.ts";
import type { TlsFiles } from "./tls-files.ts";

/** Reads certificate and key as they are now; null: there are none. */
export type ReadTls = () => Promise<TlsFiles | null>;

interface FollowOptions extends TroubleOptions {
  /** How often the files are read, in milliseconds. */
  readonly everyMs: number;
  /** Is given files with other contents than before. */
  readonly use: (files: TlsFiles) => void;
}

/**
 * Reads files again and again until the function that is returned is called. Files that do not do, as when the certificate is new
 * and the key is not yet, are told and passed over.
 */
export function followTls(read: ReadTls, first: TlsFiles, options: FollowOptions): () => void {
  let last = JSON.stringify(first);
  const trouble = new Trouble(options);
  const look = async (): Promise<void> => {
    try {
      const files = await read();
      const found = JSON.stringify(files);
      if (files && found !== last) options.use(files);
      last = found;
      trouble.end();
    } catch (error) {
      trouble.tell(error);
    }
  };
  const timer = setInterval(() => void look(), options.everyMs).unref();
  return () => clearInterval(timer);
}
