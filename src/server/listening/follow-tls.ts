/** @file Loads certificates that are renewed while the server runs. */
import { Trouble, type TroubleOptions } from "../../jobs/queue/trouble.ts";
import type { TlsFiles } from "./tls-files.ts";

/** Reads the current certificate and key; null: there are none. */
export type ReadTls = () => Promise<TlsFiles | null>;

interface FollowOptions extends TroubleOptions {
  /** How often the files are read, in milliseconds. */
  readonly everyMs: number;
  /** Receives files whose contents have changed. */
  readonly use: (files: TlsFiles) => void;
}

/**
 * Reads files regularly until the returned function is called. Invalid files, for instance while the certificate is new but the
 * key is not, are reported and ignored.
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
