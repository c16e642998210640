// Who works here, and how they prove it: names with digests of their passwords.
//
// PORTAL_PEOPLE has them as `name:salt:digest`, separated by spaces, salt and digest in hexadecimal.
// Such an entry is made by
//
//   node -e 'const { randomBytes, scryptSync } = require("crypto"); const salt = randomBytes(16);
//     const [name, password] = process.argv.slice(1);
//     console.log([name, salt.toString("hex"), scryptSync(password, salt, 32).toString("hex")].join(":"))' alice PASSWORD
import { randomBytes, type ScryptOptions, scrypt, scryptSync, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

interface Person {
  readonly salt: Buffer;
  readonly digest: Buffer;
}

const DIGEST_BYTES = 32;

/** What is also the first component of a repository's name. */
const NAME = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;

const derive: (password: string, salt: Buffer, bytes: number, options?: ScryptOptions) => Promise<Buffer> =
  promisify(scrypt);

/** Nobody's digest, so that a name which nobody has takes as long to refuse as a wrong password. */
const NOBODY: Person = { salt: randomBytes(16), digest: randomBytes(DIGEST_BYTES) };

export class People {
  readonly #people = new Map<string, Person>();

  /** @throws Error for an entry that is not as it should be. */
  constructor(entries: string) {
    for (const entry of entries.split(/\s+/).filter((text) => text !== '')) {
      const [name = '', salt = '', digest = ''] = entry.split(':');
      const person = { salt: Buffer.from(salt, 'hex'), digest: Buffer.from(digest, 'hex') };
      if (!NAME.test(name) || person.salt.length === 0 || person.digest.length !== DIGEST_BYTES) {
        throw new Error(`PORTAL_PEOPLE: the entry of ${JSON.stringify(name)} is not name:salt:digest`);
      }
      this.#people.set(name, person);
    }
  }

  /** Whether this is that person's password. */
  async prove(name: string, password: string): Promise<boolean> {
    const person = this.#people.get(name);
    const { salt, digest } = person ?? NOBODY;
    const same = timingSafeEqual(await derive(password, salt, DIGEST_BYTES), digest);
    return same && person !== undefined;
  }
}

/** Two people with new passwords, which are told to whoever started the portal. */
export function demoPeople(): string {
  return ['alice', 'bob'].map(demoPerson).join(' ');
}

function demoPerson(name: string): string {
  const [salt, password] = [randomBytes(16), randomBytes(9).toString('base64url')];
  console.log(`For this demonstration ${name}'s password is ${password}`);
  return [name, salt.toString('hex'), scryptSync(password, salt, DIGEST_BYTES).toString('hex')].join(':');
}
