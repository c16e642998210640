// Who there is, and what each may do: a JSON file with bcrypt hashes and globs of repositories.
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import bcrypt from 'bcrypt';
import type { Scope } from 'koa-registry';
import picomatch from 'picomatch';
import { z } from 'zod';

/** Actions by `repository:<glob>` or `registry:catalog`: `{ "repository:team/**": ["pull", "push"] }`. */
const rights = z.record(z.string().regex(/^(?:repository|registry):./), z.array(z.string()));

const document = z.strictObject({
  /** What somebody may do who has not said who it is. */
  anonymous: rights.default({}),
  users: z.array(
    z.strictObject({
      name: z.string().min(1),
      /** As `htpasswd -nB` and the like write it. */
      password: z.string().regex(/^\$2[aby]\$\d\d\$[./A-Za-z\d]{53}$/, 'must be a bcrypt hash'),
      may: rights,
    }),
  ),
});

export interface User {
  /** Empty for somebody who has not said who it is. */
  readonly name: string;
  may(scope: Scope): boolean;
}

interface KnownUser extends User {
  readonly hash: string;
}

/** Of a password that nobody knows: comparing with it takes an unknown name as long as a known one takes. */
const NOBODYS_HASH = bcrypt.hashSync(randomUUID(), 10);

export class Users {
  readonly anonymous: User;
  readonly #users: ReadonlyMap<string, KnownUser>;

  private constructor({ anonymous, users }: z.output<typeof document>) {
    this.anonymous = { name: '', may: compile(anonymous) };
    this.#users = new Map(
      // The two prefixes stand for the same algorithm; the library knows only one of them.
      users.map(({ name, password, may }) => [
        name,
        { name, may: compile(may), hash: password.replace(/^\$2y/, '$2b') },
      ]),
    );
  }

  static async read(file: string): Promise<Users> {
    return new Users(document.parse(JSON.parse(await readFile(file, 'utf8'))));
  }

  /** `undefined` for an unknown name as for a wrong password. */
  async login(name: string, password: string): Promise<User | undefined> {
    const user = this.#users.get(name);
    const right = await bcrypt.compare(password, user?.hash ?? NOBODYS_HASH);
    return right ? user : undefined;
  }

  /** Somebody who has proved who it is before. */
  named(name: string): User | undefined {
    return this.#users.get(name);
  }
}

function compile(written: z.output<typeof rights>): User['may'] {
  const allowed = Object.entries(written).map(([resource, actions]) => {
    const [type = '', ...glob] = resource.split(':');
    return { type, matches: picomatch(glob.join(':'), { strictSlashes: true }), actions };
  });
  return ({ type, name, action }) =>
    allowed.some((right) => right.type === type && right.actions.includes(action) && right.matches(name));
}
