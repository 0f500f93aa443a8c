/** @file Contract of a PostgreSQL database: the few calls that graft makes. */

export interface Connection {
  /** Runs one statement; returns its rows, with JSON parsed. */
  query<R>(text: string, values?: readonly unknown[]): Promise<readonly R[]>;
}

export interface Database extends Connection {
  /** Runs work in a transaction, which is rolled back if the work throws. */
  transaction<T>(work: (connection: Connection) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}
