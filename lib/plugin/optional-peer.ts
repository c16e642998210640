// Packages that only one plugin needs: loaded when it starts, and asked for by name when missing.

/** A package that a plugin needs is not installed. */
export class MissingPeerError extends Error {
  readonly packageName: string;

  constructor(packageName: string, cause: unknown) {
    super(`needs the package ${packageName}: npm install ${packageName}`, { cause });
    this.name = 'MissingPeerError';
    this.packageName = packageName;
  }

  /** The same, saying who needs it. */
  neededBy(label: string): MissingPeerError {
    const error = new MissingPeerError(this.packageName, this.cause);
    error.message = `${label} ${error.message}`;
    return error;
  }
}

const NOT_FOUND: readonly unknown[] = ['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'];

/** That this package is missing, not one that it needs in turn. */
function isMissing(error: unknown, packageName: string): boolean {
  if (!(error instanceof Error) || !('code' in error) || !NOT_FOUND.includes(error.code)) return false;
  const [, missing = ''] = /'([^']+)'/.exec(error.message) ?? [];
  return missing === packageName || missing.startsWith(`${packageName}/`);
}

/**
 * Loads a package that is only needed by those who use this plugin:
 * `await optionalPeer('ioredis', () => import('ioredis'))`.
 *
 * @throws MissingPeerError when the package is not installed; what the package itself throws when it
 *   is loaded is passed on as it is.
 */
export async function optionalPeer<T>(packageName: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    throw isMissing(error, packageName) ? new MissingPeerError(packageName, error) : error;
  }
}
