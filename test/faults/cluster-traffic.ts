// Some people who push images through the balancer and pull what they pushed, while something goes wrong.
// What was refused is kept for the test to judge, and then pushed again as their clients would.
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { Cluster } from '../support/cluster.js';
import { randomImage } from '../support/random-image.js';
import { type PushableImage, RegistryClient, UPLOAD_WAYS } from '../support/registry-client.js';

const MEBIBYTE = 1 << 20;

/** A pause between two images: what is asked for is the right answer, not a load. */
const PAUSE = 100;

/** An answer that was none: `PUT library/a/blobs/uploads 503, Retry-After: 5`, or `cut` where there is no status. */
export type Refusal = string;

class Refused extends Error {}

/** A client that notes what it was refused. */
class NotingClient extends RegistryClient {
  readonly #refusals: Refusal[];

  constructor(url: string, refusals: Refusal[]) {
    super(url);
    this.#refusals = refusals;
  }

  override async request(
    path: string,
    init: RequestInit & { readonly statuses: readonly number[] },
  ): Promise<Response> {
    const any = { ...init, statuses: Array.from({ length: 500 }, (_, index) => index + 100) };
    const answer = await super.request(path, any).catch((error: unknown) => this.#cut(path, init.method, error));
    if (init.statuses.includes(answer.status)) return answer;
    await answer.arrayBuffer();
    const retryAfter = answer.headers.get('Retry-After');
    this.#note(
      path,
      init.method,
      retryAfter === null ? `${answer.status}` : `${answer.status}, Retry-After: ${retryAfter}`,
    );
    throw new Refused(`${init.method} ${path}: ${answer.status}`);
  }

  /** Whether an error is that of a connection which ended before its answer did. */
  noteCut(error: unknown): boolean {
    if (!(error instanceof TypeError)) return false;
    this.#note('body/', 'GET', 'cut');
    return true;
  }

  #cut(path: string, method: string | undefined, error: unknown): never {
    if (!(error instanceof TypeError)) throw error;
    this.#note(path, method, 'cut');
    throw new Refused(`${method} ${path}: ${error.cause}`);
  }

  /** Without what would be another name each time. */
  #note(path: string, method = 'GET', outcome: string): void {
    const place = path.replace(/^.*\/v2\//, '').replace(/\/[^/]*$/, '');
    this.#refusals.push(`${method} ${place} ${outcome}`);
  }
}

export class Traffic {
  /** What was answered 201, by its tag. */
  readonly acknowledged = new Map<string, PushableImage>();
  readonly refusals: Refusal[] = [];
  readonly #repository: string;
  readonly #client: NotingClient;
  #state: 'flowing' | 'ending' | 'abandoned' = 'flowing';
  #over: Promise<unknown> = Promise.resolve();

  private constructor({ balancer }: Cluster, repository: string) {
    this.#repository = repository;
    this.#client = new NotingClient(balancer.url, this.refusals);
  }

  /**
   * Has some people push and pull while `work` is done, and each finish an image after it.
   *
   * @throws what `work` throws; what was wrong with an answer: other bytes, or nothing where something was pushed.
   */
  static async during(
    cluster: Cluster,
    repository: string,
    people: number,
    work: (traffic: Traffic) => Promise<unknown>,
  ): Promise<Traffic> {
    const traffic = new Traffic(cluster, repository);
    traffic.#over = Promise.all(Array.from({ length: people }, (_, number) => traffic.#person(number)));
    // A failure is for the end, or for whoever waits for them.
    traffic.#over.catch(() => undefined);
    try {
      await work(traffic);
      traffic.#state = 'ending';
      await traffic.#over;
      return traffic;
    } finally {
      traffic.#state = 'abandoned';
    }
  }

  /** Resolves when a few more images were pushed, from now on. */
  async goOn(images = 3): Promise<void> {
    const enough = this.acknowledged.size + images;
    while (this.acknowledged.size < enough) await Promise.race([this.#over, delay(PAUSE)]);
  }

  /** All that was ever acknowledged is whole; each host is asked for a part of it. */
  async verify({ hosts }: Cluster): Promise<void> {
    for (const [index, [tag, image]] of [...this.acknowledged].entries()) {
      const url = hosts[index % hosts.length]?.url ?? '';
      assertWhole(await new RegistryClient(url).pullWhole(this.#repository, tag), image);
    }
  }

  async #person(number: number): Promise<void> {
    for (let count = 0; this.#state === 'flowing'; count++) {
      // Now and then one that has more than one part in the bucket.
      const size = count % 5 === 0 ? 9 * MEBIBYTE : randomInt(300_000);
      const image = randomImage({ layers: [size, 0, 100 + number] });
      const tag = `of-${number}-${count}`;
      await this.#untilDone(() => this.#client.pushImage(this.#repository, tag, image, rotated(number + count)));
      this.acknowledged.set(tag, image);
      const tags = [...this.acknowledged.keys()];
      const some = tags[randomInt(tags.length)] ?? tag;
      const pulled = await this.#untilDone(() => this.#client.pullWhole(this.#repository, some));
      assertWhole(pulled, this.acknowledged.get(some));
      await delay(PAUSE);
    }
  }

  /** Tries again what was refused, from the beginning. */
  async #untilDone<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Refused) && !this.#client.noteCut(error)) throw error;
        if (this.#state === 'abandoned') throw error;
        await delay(3 * PAUSE);
      }
    }
  }
}

/** All ways to upload, beginning with another one. */
function rotated(by: number) {
  return UPLOAD_WAYS.map((_, index) => UPLOAD_WAYS[(index + by) % UPLOAD_WAYS.length] ?? 'stream');
}

function assertWhole(actual: ReadonlyMap<string, Buffer>, image: PushableImage | undefined): void {
  const expected = new Map(image && [[image.digest, image.bytes], ...image.blobs]);
  assert.equal([...actual.keys()].sort(), [...expected.keys()].sort());
  for (const [digest, bytes] of expected) assert.ok(actual.get(digest)?.equals(bytes), digest);
}
