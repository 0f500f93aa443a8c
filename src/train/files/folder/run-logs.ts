/** @file The logs of a run in its folder: started, cut when a run is resumed, and written. */
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
  /** Logs that are being written. */
  #logs: readonly OpenLog[];
  /** Logs of formats that are not asked for; a resumed run continues those that an earlier part of it has begun. */
  readonly #others: readonly OpenLog[];

  constructor(folder: string, formats: readonly LogFormat[], others: readonly LogFormat[]) {
    const open = (format: LogFormat): OpenLog => {
      const file = logFile(join(folder, format.file));
      return { format, file, write: format.open(file, Date.now) };
    };
    this.#logs = formats.map(open);
    this.#others = others.filter((format) => !formats.includes(format)).map(open);
  }

  /** Creates logs without events. @throws FailedError "failed/write" */
  async begin(): Promise<void> {
    for (const { format, file } of this.#logs) await file.append(format.head(Date.now()));
  }

  /**
   * Removes events that a killed run wrote after its last checkpoint: those of later steps, and those of the checkpoint's step (such as an
   * evaluation) that are not in its history. A missing log, of a format that the run did not have before, begins with the history.
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

  /** Appends an event to each log. @throws FailedError "failed/write" */
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
