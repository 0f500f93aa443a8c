/**
 * @file PostgreSQL's wire protocol in front of a PGlite, so that what speaks it needs no PostgreSQL in tests.
 *
 * All connections share the one session that a PGlite has: messages go to it up to a Sync, and who is in a transaction has it
 * until that ends, as if every transaction locked all. Of a connection that is lost in one, nothing stays.
 */
import { once } from "node:events";
import { type AddressInfo, type Server, type Socket, createServer } from "node:net";
import type { PGlite } from "@electric-sql/pglite";

/** Versions that a first message says: of the protocol, and of a wish to speak TLS. */
const PROTOCOL = 196_608;
const SSL = 80_877_103;
/** Messages of a client at which the database answers, and its end. */
const [QUERY, SYNC, END] = ["Q", "S", "X"].map((char) => char.charCodeAt(0));
const IN_NO_TRANSACTION = "I".charCodeAt(0);

function message(type: string, body: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

/** Allowed, with a key that nobody asks for, and ready. */
const WELCOME = Buffer.concat([
  message("R", Buffer.alloc(4)),
  message("S", Buffer.from("server_version\x0017.0\0")),
  message("K", Buffer.alloc(8)),
  message("Z", Buffer.from("I")),
]);

export class WireServer {
  readonly #pglite: PGlite;
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  #port = 0;
  /** Settled when nobody has the session. */
  #free: Promise<void> = Promise.resolve();

  constructor(pglite: PGlite) {
    this.#pglite = pglite;
  }

  get url(): string {
    return `postgres://graft@127.0.0.1:${this.#port}/graft`;
  }

  /** Listens, on the port that it had before if it had one. */
  async start(): Promise<void> {
    this.#server = createServer((socket) => this.#serve(socket));
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Cuts all connections off. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    for (const socket of this.#sockets) socket.destroy();
    server?.close();
    if (server) await once(server, "close");
    await this.#free;
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let rest = Buffer.alloc(0);
    let isOpen = false;
    let batch: Buffer[] = [];
    let letGo: (() => void) | null = null;
    /** What this connection does, one after another. */
    let last: Promise<void> = Promise.resolve();
    const then = (work: () => Promise<void>): void => {
      last = last.then(work).catch(() => void socket.destroy());
    };
    const run = async (bytes: Buffer): Promise<void> => {
      if (!letGo && socket.destroyed) return;
      letGo ??= await this.#take();
      const answer = await this.#pglite.execProtocolRaw(bytes, { syncToFs: false });
      socket.write(answer);
      if (answer.at(-1) === IN_NO_TRANSACTION) {
        letGo();
        letGo = null;
      }
    };
    socket.on("data", (data) => {
      rest = Buffer.concat([rest, data]);
      for (;;) {
        const head = isOpen ? 1 : 0;
        if (rest.length < head + 4) return;
        const size = head + rest.readInt32BE(head);
        if (rest.length < size) return;
        const one = rest.subarray(0, size);
        rest = rest.subarray(size);
        if (!isOpen) {
          const version = one.readInt32BE(4);
          isOpen = version === PROTOCOL;
          if (isOpen) socket.write(WELCOME);
          else if (version === SSL) socket.write("N");
          else socket.end();
        } else if (one[0] === END) socket.end();
        else {
          batch.push(one);
          if (one[0] !== QUERY && one[0] !== SYNC) continue;
          const whole = Buffer.concat(batch);
          batch = [];
          then(() => run(whole));
        }
      }
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#sockets.delete(socket);
      then(async () => {
        if (!letGo) return;
        await this.#pglite.execProtocolRaw(message("Q", Buffer.from("rollback\0")), { syncToFs: false });
        letGo();
      });
    });
  }

  /** Waits until nobody has the session; the caller calls what it gets when it is done with it. */
  async #take(): Promise<() => void> {
    const before = this.#free;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#free = promise;
    await before;
    return resolve;
  }
}
