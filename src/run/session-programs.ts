/** @file The compiled programs of a session by their keys, and their users. */
import type { DerivedTensors } from "../models/base/derived-tensors.ts";
import type { ProgramSpec } from "../graph/program.ts";
import type { CompileOptions, Engine, Program } from "../runtime/engine.ts";
import type { Tensors } from "../runtime/host-tensor.ts";
import { madeOnce, releaseMade } from "../runtime/made-once.ts";

/** A compiled program with what it was made from. */
export interface Compiled<T> {
  readonly program: Program;
  readonly made: T;
}

/** A program, not compiled, with what it was made from. */
export interface MadeProgram<T> {
  readonly spec: ProgramSpec;
  readonly made: T;
}

/** A program that can be made, with a key that identifies it within a session. */
export interface Makeable<T> {
  readonly key: string;
  readonly make: () => MadeProgram<T>;
}

/** What a program is compiled from. */
export interface ProgramSource<T> extends MadeProgram<T>, Pick<CompileOptions, "foldsConstants"> {
  /** Reads the inputs that never change; they stay unchanged as long as the session. */
  readonly constants?: () => Promise<Tensors>;
}

/** A compiled program of the session. */
interface Held extends Compiled<unknown> {
  /** Bytes of the tensors that it binds. */
  readonly boundBytes: number;
  /** Frees it when running calls are done, and stops watching the tensors that it binds. */
  release(): Promise<void>;
}

/** The programs that one user has compiled. */
export interface ProgramUse {
  /** Bytes of the tensors that they bind, of which programs hold a second copy. */
  boundBytes(): Promise<number>;
  /** Frees those that no other user has compiled, when running calls are done. */
  end(): void;
}

interface ProgramPlace {
  readonly engine: Engine;
  readonly derived: DerivedTensors;
}

export class SessionPrograms {
  readonly #place: ProgramPlace;
  readonly #held = new Map<string, Promise<Held>>();
  readonly #keysOf = new WeakMap<object, Set<string>>();
  readonly #numUsers = new Map<string, number>();

  constructor(place: ProgramPlace) {
    this.#place = place;
  }

  /** Compiles a program, or returns the one with this key. `user`: whose use may end; without a user the program stays. */
  compile<T>(key: string, make: () => ProgramSource<T>, user?: object): Promise<Compiled<T>> {
    if (user) this.#claim(key, user);
    return madeOnce(this.#held, key, () => this.#compile(key, make)) as Promise<Held & Compiled<T>>;
  }

  #claim(key: string, user: object): void {
    const keys = this.#keysOfUser(user);
    if (keys.has(key)) return;
    keys.add(key);
    this.#numUsers.set(key, (this.#numUsers.get(key) ?? 0) + 1);
  }

  #keysOfUser(user: object): Set<string> {
    const keys = this.#keysOf.get(user) ?? new Set();
    this.#keysOf.set(user, keys);
    return keys;
  }

  async #compile<T>(key: string, make: () => ProgramSource<T>): Promise<Held> {
    const { spec, made, constants, ...how } = make();
    const bound = (await constants?.()) ?? {};
    const program = await this.#place.engine.compile(spec, { ...how, constants: bound });
    const tensors = Object.values(bound);
    // Tensors that adapters share are freed with the last adapter, so programs that bind them must not keep them alive.
    const stops = tensors.map((tensor) => this.#place.derived.whenFreed(tensor, () => this.#drop(key)));
    const boundBytes = tensors.reduce((sum, { data }) => sum + data.byteLength, 0);
    const release = (): Promise<void> => {
      for (const stop of stops) stop();
      return program.release();
    };
    return { program, made, boundBytes, release };
  }

  /** Frees a program without waiting. A failure to free only costs memory. */
  #drop(key: string): void {
    const held = this.#held.get(key);
    this.#held.delete(key);
    held?.then((program) => program.release()).catch(() => {});
  }

  /** The programs that a user has compiled; this does not keep the user alive. */
  useOf(user: object): ProgramUse {
    const keys = this.#keysOfUser(user);
    return {
      boundBytes: async () => {
        const held = [...keys].flatMap((key) => this.#held.get(key)?.catch(() => null) ?? []);
        return (await Promise.all(held)).reduce((sum, each) => sum + (each?.boundBytes ?? 0), 0);
      },
      end: () => {
        for (const key of keys) this.#letGo(key);
        keys.clear();
      },
    };
  }

  #letGo(key: string): void {
    const numUsers = (this.#numUsers.get(key) ?? 0) - 1;
    this.#numUsers.set(key, numUsers);
    if (numUsers > 0) return;
    this.#numUsers.delete(key);
    this.#drop(key);
  }

  /** Frees all programs. @throws the first failure, after all others are freed */
  release(): Promise<void> {
    return releaseMade(this.#held);
  }
}
