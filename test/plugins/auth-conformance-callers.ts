// Those who call in the tests of the auth suite, and what the suite says that each of them may do.
import type { Credentials, Scope } from 'koa-registry';
import type { AuthCallers } from 'koa-registry/conformance';
import { basic, password } from '../support/credentials.js';

export const REPOSITORIES = ['conformance/one', 'conformance/two'];

const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  writer: ['pull', 'push', 'delete'],
  reader: ['pull'],
  stranger: [],
};

export const NAMES = Object.keys(ACTIONS);

export function may(name: string, { type, name: resource, action }: Scope): boolean {
  if (type === 'registry') return name === 'writer';
  return REPOSITORIES.includes(resource) && (ACTIONS[name] ?? []).includes(action);
}

/** Whose name and password these are. */
export function userOf(credentials: Credentials | undefined): string | undefined {
  if (credentials?.scheme !== 'basic' || credentials.password !== password(credentials.user)) return undefined;
  return NAMES.find((name) => name === credentials.user);
}

export function withPassword(name: string) {
  return { actor: name, headers: basic(name, password(name)) };
}

export const WRONG_PASSWORDS = {
  'a wrong password': basic('writer', password('wrong')),
  'an unknown name': basic('nobody-knows-me', password('writer')),
  'an empty password': basic('writer', ''),
};

export const WITH_PASSWORDS: AuthCallers = {
  writer: withPassword('writer'),
  reader: withPassword('reader'),
  stranger: withPassword('stranger'),
  wrong: WRONG_PASSWORDS,
};
