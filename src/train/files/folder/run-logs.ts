/** @file The logs of a run in its folder: begun, cut where a run goes on, and written to. */
import { join } from "node:path";
import { writeFileAtomic } from "../../../format/files/atomic.ts";
import { disk } from "../../../format/files/disk/calls.ts";
import { bytesFile } from "../../../format/files/folder-file.ts";
import { systemCode, toFailedWrite } from "../../../messages/system-error.ts";
import type { LogEntry, LogFile, LogFormat } from "../../logs/log-format.ts";

interface OpenLog {
  readonly format: LogFormat;
  readonly file: LogFile;
  readonly write: (entry: LogEntry) => Promise<void>;
}

export class RunLogs {
  /** Those that are written to. */
  #logs: readonly OpenLog[];
  /** Of forms that are not asked for: what an earlier part of the run has begun, it goes on with. */
  readonly #others: readonly OpenLog[];

  constructor(folder: string, formats: readonly LogFormat[], others: readonly LogFormat[]) {
    const open = (format: LogFormat): OpenLog => {
      const file = logFile(join(folder, format.file));
      return { format, file, write: format.open(file, Date.now) };
    };
    this.#logs = formats.map(open);
    this.#others = others.filter((format) => !formats.includes(format)).map(open);
  }

  /** Makes logs without events. @throws FailedError "failed/write" */
  async begin(): Promise<void> {
    for (const { format, file } of this.#logs) await file.append(format.head(Date.now()));
  }

  /**
   * Takes out what a killed run wrote after its last checkpoint, of whose step an evaluation may be such: of a run that was stopped in
   * it, and went on. A log that is not there, as the run had none of its form, begins with what happened before.
   */
  async cut(step: number, history: readonly LogEntry[]): Promise<void> {
    const told = new Set(history.filter((entry) => entry["step"] === step).map((entry) => entry["event"]));
    const isKept = (event: string, at: number): boolean => at < step || (at === step && told.has(event));
    const goOn: OpenLog[] = [];
    for (const each of new Set([...this.#logs, ...this.#others])) {
      const { format, file, write } = each;
      const log = await file.read();
      if (log === null && this.#others.includes(each)) continue;
      const kept = log && format.cut(log, isKept);
      await file.replace(kept?.length ? kept : format.head(Date.now()));
      if (log === null) for (const entry of history) await write(entry);
      goOn.push(each);
    }
    this.#logs = goOn;
  }

  /** Adds an event to each. @throws FailedError "failed/write" */
  async write(entry: LogEntry): Promise<void> {
    for (const { write } of this.#logs) await write(entry);
  }
}

function logFile(path: string): LogFile {
  return {
    async read() {
      try {
        return await disk().readFile(path);
      } catch (error) {
        if (systemCode(error) === "ENOENT") return null;
        throw toFailedWrite(error, path);
      }
    },
    async append(bytes) {
      try {
        await disk().appendFile(path, bytes);
      } catch (error) {
        throw toFailedWrite(error, path);
      }
    },
    replace: (bytes) => writeFileAtomic(path, bytesFile(path, bytes)),
  };
}
