/** @file The contract of a form in which activations are kept between the forward and the backward pass of their block. */
import type { Saved } from "../../run/blocks/block-runner.ts";
import type { Session } from "../../run/session.ts";
import type { ShardDisk } from "../../runtime/memory/shard.ts";

/** Activations of one pass: those kept last are brought back first. */
export interface KeptActivations {
  /** Takes ownership of tensors of the session's pool. @throws what the disk throws for activations kept earlier */
  keep(tensors: Saved): Promise<void>;
  /** Returns the activations kept last, in tensors of the pool that the caller releases. */
  bringBack(): Promise<Saved>;
  /** Waits for reads and writes in progress, then releases to the pool what was not brought back. */
  end(): Promise<void>;
}

export interface ActivationForm {
  readonly name: string;
  /** How they are kept, in the help of `--activations`. */
  readonly summary: string;
  /** Bytes of memory per number while it waits. */
  readonly bytesPerNumber: number;
  /** How many blocks, those kept last, have their activations in memory as float32. */
  readonly numWhole: number;
  readonly usesDisk: boolean;
  /** Whether the backward pass reads exactly what the forward pass wrote. */
  readonly isExact: boolean;
  begin(session: Session, disk: ShardDisk | null): KeptActivations;
}
