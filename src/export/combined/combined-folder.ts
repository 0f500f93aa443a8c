/** @file What adapters or models are combined on, and what they come to. */
import type { BaseModel } from "../../models/base/base-model.ts";
import type { Residual } from "../../peft/algebra/combine.ts";
import type { StartCosine } from "../../peft/algebra/cosine.ts";

/** Folders by the names that an expression uses. */
export type FoldersByName = Readonly<Record<string, string>>;

/** What adapters or models are combined on. */
export interface OnBase {
  /** Null: it is not at hand. */
  readonly base: BaseModel | null;
  /** For the card. */
  readonly license: string | null;
  /** Called before each module or tensor: lets others have the thread, and throws to stop. */
  readonly beforePart: () => Promise<void>;
}

/** What adapters or models came to together, not written yet. */
export interface CombinedFolder {
  /** The expression as it was understood. */
  readonly expression: string;
  readonly method: string;
  readonly numParameters: number;
  /** What a lower rank cut off; null when nothing was. */
  readonly residual: Residual | null;
  /** The two adapters whose A's are farthest apart; null where no factors of several low-rank adapters are mixed. */
  readonly startCosine: StartCosine | null;
  /** Sentences that the user should see. */
  readonly warnings: readonly string[];
  /** Writes the folder, all files or none. @throws FailedError "failed/write" */
  write(path: string): Promise<void>;
}
