/** @file The contract of a form in which activations are kept between the forward and the backward pass of their block. */
import type { Saved } from "../../run/blocks/block-runner.ts";
import type { Session } from "../../run/session.ts";
import type { ShardDisk } from "../../runtime/memory/shard.ts";

/** Activations of one pass: what was kept last is brought back first. */
export interface KeptActivations {
  /** Takes tensors of the session's pool. @throws what the disk throws, for what was kept before */
  keep(tensors: Saved): Promise<void>;
  /** Gives back what was kept last, in tensors of the pool that the caller releases. */
  bringBack(): Promise<Saved>;
  /** Gives what was not brought back to the pool; what is under way has ended then. */
  end(): Promise<void>;
}

export interface ActivationForm {
  readonly name: string;
  /** How they are kept, in the help of `--activations`. */
  readonly summary: string;
  /** Bytes that a number takes in memory while it waits. */
  readonly bytesPerNumber: number;
  /** Blocks of the model, the last that were kept, whose activations are in memory as they were written. */
  readonly numWhole: number;
  readonly usesDisk: boolean;
  /** Whether the backward pass reads what the forward pass wrote, bit for bit. */
  readonly isExact: boolean;
  begin(session: Session, disk: ShardDisk | null): KeptActivations;
}
