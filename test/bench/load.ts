// Closed-loop load: each connection asks again as soon as it was answered, for a given time.
import { setMaxListeners } from 'node:events';
import { createHistogram, performance, type RecordableHistogram } from 'node:perf_hooks';
import type { Answer } from './answer-reader.js';
import { Connection, type Request } from './connection.js';

/** What one measurement of one server found. */
export interface Sample {
  readonly operations: number;
  readonly bytes: number;
  readonly seconds: number;
  /** Latencies in nanoseconds. */
  readonly latencies: RecordableHistogram;
  /** The part of the time in which the generator was working, 0 to 1; near 1 it measures itself. */
  readonly generatorBusy: number;
}

/** Runs `work` with the clock and returns what it took; `work` reports each operation it did. */
export async function timed(work: (operation: (milliseconds: number, bytes: number) => void) => Promise<void>) {
  const latencies = createHistogram();
  let bytes = 0;
  const before = performance.eventLoopUtilization();
  const start = performance.now();
  await work((milliseconds, length) => {
    latencies.record(Math.max(1, Math.round(milliseconds * 1e6)));
    bytes += length;
  });
  const seconds = (performance.now() - start) / 1000;
  const generatorBusy = performance.eventLoopUtilization(before).utilization;
  return { operations: latencies.count, bytes, seconds, latencies, generatorBusy } satisfies Sample;
}

/** A signal that ends with `signal` or after a time, for any number of connections to listen to. */
export function limited(signal: AbortSignal, milliseconds: number): AbortSignal {
  const either = AbortSignal.any([signal, AbortSignal.timeout(milliseconds)]);
  setMaxListeners(0, either);
  return either;
}

/** @throws Error for another status, or another length where one is given: a wrong answer ends the bench. */
export function expectAnswer(answer: Answer, status: number, length = answer.length): void {
  if (answer.status === status && answer.length === length) return;
  throw new Error(`expected ${status} with ${length} bytes, but got ${answer.length} bytes and\n${answer.head}`);
}

/** How to ask: what, what the right answer is, how many at once and for how long. */
export interface Load {
  readonly request: Request;
  /** Default: 200. */
  readonly status?: number | undefined;
  /** Length of a right answer's body; without one, that of the first answer. */
  readonly length?: number | undefined;
  readonly connections: number;
  readonly milliseconds: number;
}

/** Does one operation on a connection, by the client's number; answers how many bytes it moved. */
export type Step = (connection: Connection, client: number) => Promise<number>;

interface Loop {
  readonly connections: number;
  readonly milliseconds: number;
  readonly signal: AbortSignal;
}

/** Has each connection take one step after another until the time is over; `begin`, given the first, is off the clock. */
export async function closedLoop(
  origin: URL,
  { connections: count, milliseconds, signal }: Loop,
  begin: (first: Connection) => Step | Promise<Step>,
): Promise<Sample> {
  const connections: Connection[] = [];
  try {
    while (connections.length < count) connections.push(await Connection.open(origin, signal));
    const step = await begin(connections[0] as Connection);
    return await timed(async (operation) => {
      const deadline = performance.now() + milliseconds;
      const drive = async (connection: Connection, client: number) => {
        for (let begun = performance.now(); begun < deadline; ) {
          const bytes = await step(connection, client);
          const ended = performance.now();
          operation(ended - begun, bytes);
          begun = ended;
        }
      };
      await Promise.all(connections.map(drive));
    });
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Puts `load` on the server at `origin`; every answer has to be of the right status and length. */
export function measureLoad(origin: URL, load: Load, signal: AbortSignal): Promise<Sample> {
  const { connections, milliseconds, request, status = 200 } = load;
  let { length } = load;
  return closedLoop(origin, { connections, milliseconds, signal }, () => async (connection) => {
    const answer = await connection.exchange(request);
    length ??= answer.length;
    expectAnswer(answer, status, length);
    return answer.length;
  });
}
