/** @file The surroundings in which adapters or models are combined, and the result. */
import type { BaseModel } from "../../models/base/base-model.ts";
import type { Residual } from "../../peft/algebra/combine.ts";
import type { StartCosine } from "../../peft/algebra/cosine.ts";

/** Folders by the names that an expression uses. */
export type FoldersByName = Readonly<Record<string, string>>;

/** The base on which adapters or models are combined, and what all combinations need. */
export interface OnBase {
  /** null: the base is not available. */
  readonly base: BaseModel | null;
  /** Licence for the card. */
  readonly license: string | null;
  /** Called before each module or tensor: lets other work run, and throws to abort. */
  readonly beforePart: () => Promise<void>;
}

/** The combination of adapters or models, not written yet. */
export interface CombinedFolder {
  /** The expression as it was parsed. */
  readonly expression: string;
  readonly method: string;
  readonly numParameters: number;
  /** What a lower rank cut off; null: nothing. */
  readonly residual: Residual | null;
  /** The two adapters whose A's differ most; null unless factors of several low-rank adapters are mixed. */
  readonly startCosine: StartCosine | null;
  /** Sentences that the user should see. */
  readonly warnings: readonly string[];
  /** Writes the folder, all files or none. @throws FailedError "failed/write" */
  write(path: string): Promise<void>;
}
