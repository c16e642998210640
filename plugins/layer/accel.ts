// Lets the front server send a blob: the registry answers with a header that names the file, and nginx, Apache or
// Lighttpd puts the file in place of the empty body. For storage that keeps each blob in a file, as
// `storage/filesystem` does.
import { validateHeaderName } from 'node:http';
import { isAbsolute, posix } from 'node:path';
import type { Layer, LayerAnswer, LayerHandler, LayerRequest, LayerStore, Logger } from 'koa-registry';
import { definePlugin, parseRange } from 'koa-registry';
import { z } from 'zod';

const DEFAULT_LOCATION = '/registry-blobs/';

/** What the registry says of the blobs that it sends itself: the bytes of a digest never change. */
const KEPT_FOR_A_YEAR = 'max-age=31536000';

/** Any key will do to find out what paths look like. */
const SOME_KEY = 'docker/registry/v2';

const absolutePath = z.string().refine((path) => isAbsolute(path), 'must be an absolute path');

/** What RFC 3986 lets stand in a path, unescaped: nginx would read `%`, `?` and `#` in its own way. */
const location = z.string().regex(/^\/(?:[\w.~!$&'()*+,;=:@-]+\/)*$/, 'must be a path such as "/registry-blobs/"');

function isHeaderName(name: string): boolean {
  try {
    validateHeaderName(name);
    return true;
  } catch {
    return false;
  }
}

const headerName = z
  .string()
  .refine(isHeaderName, 'must be the name of a header')
  .transform((name) => name.toLowerCase());

const options = z
  .strictObject({
    /** What the front server understands: nginx `X-Accel-Redirect`, Apache and Lighttpd `X-Sendfile`. */
    header: z.enum(['X-Accel-Redirect', 'X-Sendfile']).default('X-Accel-Redirect'),
    /** For nginx: the internal location that is an alias of the storage's root directory. Default: `/registry-blobs/`. */
    location: location.optional(),
    /** For `X-Sendfile`: the storage's root directory as the front server sees it. Default: as the storage does. */
    root: absolutePath.optional(),
    /**
     * The request header in which the front server says that it understands `header`, whose name is the value; who
     * does not say so gets the bytes from the registry. `false`: everybody is taken for the front server.
     * Default: `x-sendfile-type`.
     */
    announcedBy: z
      .union([headerName, z.literal(false)], { error: 'must be the name of a header, or false' })
      .default('x-sendfile-type'),
  })
  .refine(({ header, root }) => header === 'X-Sendfile' || root === undefined, {
    path: ['root'],
    message: 'is for X-Sendfile: nginx takes the folder from the alias of its location',
  })
  .refine(({ header, location }) => header === 'X-Accel-Redirect' || location === undefined, {
    path: ['location'],
    message: 'is for X-Accel-Redirect: X-Sendfile names the file itself',
  });

type AccelOptions = z.infer<typeof options>;

const NO_FILE: Readonly<Record<AccelOptions['header'], string>> = {
  'X-Accel-Redirect': 'layer/accel: the storage does not keep blobs in files that nginx could send',
  'X-Sendfile': 'layer/accel: X-Sendfile needs the path of a file, which the storage does not tell: set root',
};

class Accel implements LayerHandler {
  readonly #options: AccelOptions;
  readonly #log: Logger;
  /** Whether the storage has said where a file is: nginx need not know, but that there are files at all. */
  #hasFiles = false;
  #hasTold = false;

  constructor(options: AccelOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
  }

  resolve(layer: Layer, request: LayerRequest): LayerAnswer | undefined {
    const { header, announcedBy } = this.#options;
    if (announcedBy !== false && !announces(request.headers[announcedBy], header)) return this.#tellOnce(announcedBy);
    // Front servers would put an answer of their own into what is said of the blob: HTML, to be kept for a year.
    if (parseRange(request.headers.range, layer.descriptor.size) === 'unsatisfiable') return undefined;
    const headers: Record<string, string> = { [header]: this.#place(layer, layer.key) };
    // nginx would keep it on an error of its own: there, its internal location adds it to what has gone well.
    if (header === 'X-Sendfile') headers['Cache-Control'] = KEPT_FOR_A_YEAR;
    // A cache before the registry must not give to all what was meant for a front server.
    if (announcedBy !== false) headers.Vary = announcedBy;
    return { headers };
  }

  async check(store: LayerStore): Promise<void> {
    this.#place(store, SOME_KEY);
  }

  /** @throws Error where the storage has no files, as far as one can tell. */
  #place(store: LayerStore, key: string): string {
    const { header, location = DEFAULT_LOCATION, root } = this.#options;
    if (header === 'X-Accel-Redirect' && this.#hasFiles) return location + key;
    const path = root === undefined ? store.path?.(key) : posix.join(root, key);
    if (path === undefined || !isAbsolute(path)) throw new Error(NO_FILE[header]);
    this.#hasFiles = true;
    if (header === 'X-Accel-Redirect') return location + key;
    if (path.includes('%')) throw new Error('layer/accel: some front servers decode a path, and this one contains "%"');
    // Node sends the characters of a header as Latin-1, and the names of files are UTF-8.
    return Buffer.from(path).toString('latin1');
  }

  /** The line is for whoever wonders why the front server has nothing to do. */
  #tellOnce(announcedBy: string): undefined {
    if (this.#hasTold) return;
    this.#hasTold = true;
    const { header } = this.#options;
    this.#log.info({ announcedBy, header }, 'no front server has announced itself: the registry sends the blob itself');
  }
}

/** The case of a header's name does not count, nor does it where the name is a value. */
function announces(value: string | readonly string[] | undefined, header: string): boolean {
  return value === header || (typeof value === 'string' && value.toLowerCase() === header.toLowerCase());
}

/**
 * The front server sends the blob's file. The client's authorisation has been checked before, and the front server's
 * configuration (see the catalogue in `plugins/README.md`) must not serve the folder in any other way.
 */
export const accel = definePlugin({
  kind: 'layer',
  name: 'accel',
  options,
  create: (options, host) => new Accel(options, host.logger),
});
