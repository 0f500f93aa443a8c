/** @file The thread that reads large data: it makes units of some content, packs them, and reports progress. */
import { parentPort, workerData } from "node:worker_threads";
import { type ErrorCode, GraftError } from "../../errors.ts";
import type { TrainingUnit } from "../examples/training-unit.ts";
import type { DataKindName } from "../examples/data-kinds.ts";
import type { RowCounts } from "../reports/data-report.ts";
import type { DatasetOptions } from "../dataset.ts";
import { UnitPacker, type PackedUnits } from "../examples/packed-units.ts";
import { makeTextTools, type ToolsOrigin } from "../chat/text-tools.ts";
import { type DataContent, readContent } from "./data-content.ts";

/** The input with which the thread starts. */
export interface UnitJob {
  readonly content: DataContent;
  readonly origin: ToolsOrigin;
  readonly options: Omit<DatasetOptions<DataKindName>, "tokenizer" | "template">;
}

/** Messages of the thread; units come in pieces, and the last message is `done` or `failed`. */
export type UnitMessage =
  | { readonly type: "rows"; readonly numRows: number; readonly totalRows: number | null }
  | { readonly type: "units"; readonly packed: PackedUnits }
  | { readonly type: "done"; readonly counts: RowCounts }
  | {
      readonly type: "failed";
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string | null;
    };

const TELL_EVERY_MS = 100;
/** Tokens that are sent at a time: growing arrays would be copied while they grow, and again at the end. */
const TOKENS_OF_PIECE = 1 << 19;

async function work(
  { content, origin, options }: UnitJob,
  tell: (message: UnitMessage) => void,
): Promise<void> {
  const packer = new UnitPacker();
  let toldMs = performance.now();
  let untold: UnitMessage | null = null;
  const onRows = (numRows: number, totalRows: number | null): void => {
    untold = { type: "rows", numRows, totalRows };
    if (performance.now() - toldMs < TELL_EVERY_MS) return;
    toldMs = performance.now();
    tell(untold);
    untold = null;
  };
  try {
    const how = { ...makeTextTools(origin), ...options };
    const keep = (unit: TrainingUnit): void => {
      packer.add(unit);
      if (packer.numTokens >= TOKENS_OF_PIECE) tell({ type: "units", packed: packer.take() });
    };
    const counts = await readContent(content, how, keep, onRows);
    if (untold !== null) tell(untold);
    tell({ type: "units", packed: packer.take() });
    tell({ type: "done", counts });
  } catch (error) {
    if (!(error instanceof GraftError)) throw error;
    tell({ type: "failed", code: error.code, message: error.message, hint: error.hint });
  }
}

if (parentPort !== null) {
  const port = parentPort;
  await work(workerData as UnitJob, (message) => {
    const arrays = message.type === "units" ? Object.values(message.packed) : [];
    port.postMessage(
      message,
      arrays.map((array: Int32Array) => array.buffer as ArrayBuffer),
    );
  });
}
